import type { Checkpoint } from "./checkpoint.ts";
import { ModelLoadError } from "./errors.ts";
import { readGgufHeader, type GgufMetadata, type GgufTensorInfo } from "./gguf-header.ts";
import { ggmlEncodings, unsupportedGgmlTypes } from "./gguf-quants.ts";
import { checkTensorRanges, TensorFile, type StoredTensor } from "./tensor-file.ts";

const defaultAlignmentBytes = 32; // of the GGUF specification

/** One GGUF file. */
export interface GgufCheckpoint extends Checkpoint {
  readonly format: "gguf";
  readonly metadata: GgufMetadata;
  /** SHA-256 of the file, hex. */
  contentHash(): Promise<string>;
}

/**
 * Opens a GGUF file; its tensors are read on demand.
 * @throws ModelLoadError when the file is truncated, damaged, split, big-endian or has element types
 * that are not read.
 */
export function openGguf(path: string): GgufCheckpoint {
  const file = new TensorFile(path);
  try {
    const header = readGgufHeader(file);
    return new OpenGguf(file, header.metadata, locateTensors(file, header));
  } catch (error) {
    file.close();
    throw error;
  }
}

class OpenGguf implements GgufCheckpoint {
  readonly format = "gguf";
  readonly metadata: GgufMetadata;
  readonly #file: TensorFile;
  readonly #tensors: ReadonlyMap<string, StoredTensor>;

  constructor(
    file: TensorFile,
    metadata: GgufMetadata,
    tensors: ReadonlyMap<string, StoredTensor>,
  ) {
    this.#file = file;
    this.metadata = metadata;
    this.#tensors = tensors;
  }

  get path(): string {
    return this.#file.path;
  }

  get tensorNames(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  tensorShape(name: string): readonly number[] | undefined {
    return this.#tensors.get(name)?.shape;
  }

  readTensor(name: string): Float32Array {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new ModelLoadError(this.path, `has no tensor ${name}`);
    return this.#file.readTensor(tensor);
  }

  contentHash(): Promise<string> {
    return this.#file.sha256();
  }

  close(): void {
    this.#file.close();
  }
}

function locateTensors(
  file: TensorFile,
  header: { metadata: GgufMetadata; tensors: readonly GgufTensorInfo[]; sizeBytes: number },
): ReadonlyMap<string, StoredTensor> {
  const numShards = Number(header.metadata["split.count"] ?? 1);
  if (numShards > 1) {
    throw new ModelLoadError(
      file.path,
      `is one of ${numShards} parts of a split GGUF model: join them with "llama-gguf-split --merge"`,
    );
  }
  const alignment = header.metadata["general.alignment"] ?? defaultAlignmentBytes;
  if (typeof alignment !== "number" || alignment < 1 || !Number.isInteger(Math.log2(alignment))) {
    throw new ModelLoadError(
      file.path,
      `general.alignment is ${JSON.stringify(String(alignment))}, expected a power of two`,
    );
  }
  const dataStart = Math.ceil(header.sizeBytes / alignment) * alignment;
  const tensors = new Map<string, StoredTensor>();
  for (const info of header.tensors) {
    if (tensors.has(info.name)) {
      throw new ModelLoadError(file.path, `tensor ${info.name} occurs twice`);
    }
    if (info.offsetBytes % alignment !== 0) {
      throw new ModelLoadError(
        file.path,
        `tensor ${info.name} has offset ${info.offsetBytes}, expected a multiple of ${alignment}`,
      );
    }
    tensors.set(info.name, locateTensor(file.path, info, dataStart));
  }
  checkTensorRanges(file, [...tensors.values()]);
  return tensors;
}

function locateTensor(path: string, info: GgufTensorInfo, dataStart: number): StoredTensor {
  const { name, shape, type } = info;
  const encoding = ggmlEncodings.get(type);
  if (!encoding) {
    const supported = [...ggmlEncodings.values()].map(({ name }) => name).join(", ");
    throw new ModelLoadError(
      path,
      `tensor ${name} has type ${unsupportedGgmlTypes.get(type) ?? type}, expected one of ${supported}`,
    );
  }
  const numValues = shape.reduce((product, size) => product * size, 1);
  if (numValues < 1 || !Number.isSafeInteger(numValues * encoding.blockBytes)) {
    throw new ModelLoadError(path, `tensor ${name} has an impossible shape [${shape.join(", ")}]`);
  }
  if (shape.at(-1)! % encoding.blockValues !== 0) {
    throw new ModelLoadError(
      path,
      `tensor ${name} has rows of ${shape.at(-1)} values, ` +
        `expected a multiple of ${encoding.blockValues} for ${encoding.name}`,
    );
  }
  const sizeBytes = (numValues / encoding.blockValues) * encoding.blockBytes;
  return { name, shape, encoding, offsetBytes: dataStart + info.offsetBytes, sizeBytes };
}
