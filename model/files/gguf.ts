import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { otherByteOrder } from "./byte-order.ts";
import type { Checkpoint, RowRange, StoredMatrix } from "./checkpoint.ts";
import { ModelLoadError } from "../errors.ts";
import { readGgufHeader } from "./gguf-header.ts";
import type { GgufHeader, GgufMetadata, GgufTensorInfo } from "./gguf-header.ts";
import { partEnding, partOfName, partPath } from "./gguf-parts.ts";
import { ggmlEncodings, unsupportedGgmlTypes } from "./gguf-quants.ts";
import { LocatedTensors } from "./located-tensors.ts";
import type { LocatedTensor } from "./located-tensors.ts";
import { checkTensorRanges, TensorFile, type StoredTensor } from "./tensor-file.ts";

const defaultAlignmentBytes = 32; // of the GGUF specification

/** One GGUF file, or all parts of one. */
export interface GgufCheckpoint extends Checkpoint {
  readonly format: "gguf";
  /** Of the first part. */
  readonly metadata: GgufMetadata;
  /** SHA-256 of the file, or over those of the parts, hex. */
  contentHash(): Promise<string>;
  /** That it is in. */
  readonly filePaths: readonly string[];
}

/**
 * Opens a GGUF file, with the other parts where it is one of several; its tensors are read on demand.
 * @param path any of the parts
 * @throws ModelLoadError when a file is missing, truncated, damaged, or has element types that are not read.
 */
export function openGguf(path: string): GgufCheckpoint {
  const files: TensorFile[] = [];
  const open = (partPath: string): OpenPart => {
    const file = new TensorFile(partPath);
    files.push(file);
    return { file, header: readGgufHeader(file) };
  };
  try {
    const given = open(path);
    const count = splitNumber(given, "split.count") ?? 1;
    const parts = count > 1 ? openParts(given, count, open) : [given];
    return new OpenGguf(parts, locateTensors(parts));
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

interface OpenPart {
  readonly file: TensorFile;
  readonly header: GgufHeader;
}

/** In order. */
function openParts(given: OpenPart, count: number, open: (path: string) => OpenPart): OpenPart[] {
  const { path } = given.file;
  const number = (splitNumber(given, "split.no") ?? 0) + 1;
  const named = partOfName(path);
  if (named?.number !== number || named.count !== count) {
    throw new ModelLoadError(
      path,
      `is part ${number} of ${count} of a split model, ` +
        `expected a name that ends in ${partEnding(number, count)}.gguf`,
    );
  }
  const paths = Array.from({ length: count }, (_, i) => partPath(named, i + 1));
  for (const [i, partPath] of paths.entries()) {
    if (existsSync(partPath)) continue;
    throw new ModelLoadError(
      partPath,
      `does not exist, expected part ${i + 1} of ${count} of the model that ${basename(path)} is of`,
    );
  }
  const parts = paths.map((partPath, i) => (i + 1 === number ? given : open(partPath)));
  for (const [i, part] of parts.entries()) {
    const [no, of] = [splitNumber(part, "split.no"), splitNumber(part, "split.count")];
    if (no === i && of === count) continue;
    throw new ModelLoadError(
      part.file.path,
      `has split.no ${no} and split.count ${of}, expected ${i} and ${count} by its name`,
    );
  }
  const expected = splitNumber(parts[0]!, "split.tensors.count");
  const actual = parts.reduce((sum, { header }) => sum + header.tensors.length, 0);
  if (expected !== undefined && expected !== actual) {
    throw new ModelLoadError(
      paths[0]!,
      `has split.tensors.count ${expected}, but its ${count} parts have ${actual} tensors`,
    );
  }
  return parts;
}

function splitNumber({ file, header }: OpenPart, key: string): number | undefined {
  const value = header.metadata[key];
  if (value === undefined) return undefined;
  const number = Number(value);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new ModelLoadError(file.path, `has a ${key} that is no count: it is damaged`);
}

class OpenGguf implements GgufCheckpoint {
  readonly format = "gguf";
  readonly path: string;
  readonly metadata: GgufMetadata;
  readonly #files: readonly TensorFile[];
  readonly reader: LocatedTensors;

  constructor(parts: readonly OpenPart[], tensors: ReadonlyMap<string, LocatedTensor>) {
    const { file, header } = parts[0]!;
    this.path = file.path;
    this.metadata = header.metadata;
    this.#files = parts.map((part) => part.file);
    this.reader = new LocatedTensors(this.path, this.#files, tensors);
  }

  get filePaths(): readonly string[] {
    return this.reader.filePaths;
  }

  get tensorNames(): readonly string[] {
    return this.reader.names;
  }

  tensorShape(name: string): readonly number[] | undefined {
    return this.reader.shape(name);
  }

  readTensor(name: string, rows?: RowRange): Float32Array {
    return this.reader.readTensor(name, rows);
  }

  async contentHash(): Promise<string> {
    const hashes: string[] = [];
    for (const file of this.#files) hashes.push(await file.sha256());
    if (hashes.length === 1) return hashes[0]!;
    return createHash("sha256").update(hashes.join("\n")).digest("hex");
  }

  storedMatrix(name: string): StoredMatrix | undefined {
    return this.reader.storedMatrix(name);
  }

  close(): void {
    this.reader.close();
  }
}

function locateTensors(parts: readonly OpenPart[]): ReadonlyMap<string, LocatedTensor> {
  const tensors = new Map<string, LocatedTensor>();
  for (const { file, header } of parts) {
    const alignment = alignmentOf(file.path, header.metadata);
    const dataStart = Math.ceil(header.sizeBytes / alignment) * alignment;
    const own: LocatedTensor[] = [];
    for (const info of header.tensors) {
      const other = tensors.get(info.name);
      if (other) {
        const place = other.file === file ? "" : `, also in ${basename(other.file.path)}`;
        throw new ModelLoadError(file.path, `tensor ${info.name} occurs twice${place}`);
      }
      if (info.offsetBytes % alignment !== 0) {
        throw new ModelLoadError(
          file.path,
          `tensor ${info.name} has offset ${info.offsetBytes}, expected a multiple of ${alignment}`,
        );
      }
      const tensor = { ...locateTensor(file.path, info, dataStart, header), file };
      tensors.set(info.name, tensor);
      own.push(tensor);
    }
    checkTensorRanges(file, own);
  }
  return tensors;
}

function alignmentOf(path: string, metadata: GgufMetadata): number {
  const alignment = metadata["general.alignment"] ?? defaultAlignmentBytes;
  if (typeof alignment !== "number" || alignment < 1 || !Number.isInteger(Math.log2(alignment))) {
    throw new ModelLoadError(
      path,
      `general.alignment is ${JSON.stringify(String(alignment))}, expected a power of two`,
    );
  }
  return alignment;
}

function locateTensor(
  path: string,
  info: GgufTensorInfo,
  dataStart: number,
  { isLittleEndian }: GgufHeader,
): StoredTensor {
  const { name, shape, type } = info;
  const stored = ggmlEncodings.get(type);
  if (!stored) {
    const supported = [...ggmlEncodings.values()].map(({ name }) => name).join(", ");
    throw new ModelLoadError(
      path,
      `tensor ${name} has type ${unsupportedGgmlTypes.get(type) ?? type}, expected one of ${supported}`,
    );
  }
  const encoding = isLittleEndian ? stored : otherByteOrder(stored);
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
