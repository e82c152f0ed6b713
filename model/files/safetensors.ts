import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import type { Checkpoint, RowRange, StoredMatrix } from "./checkpoint.ts";
import { ModelLoadError } from "../errors.ts";
import { bfloat16, float16, float32 } from "./float-encodings.ts";
import { parseJson, readJsonFile } from "./json-file.ts";
import type { TensorEncoding } from "./tensor-encoding.ts";
import { LocatedTensors } from "./located-tensors.ts";
import type { LocatedTensor } from "./located-tensors.ts";
import { checkTensorRanges, TensorFile } from "./tensor-file.ts";

/** A folder as `save_pretrained` of Hugging Face transformers writes it. */
export interface SafetensorsCheckpoint extends Checkpoint {
  readonly format: "safetensors";
  /** `config.json`, parsed. */
  readonly config: Readonly<Record<string, unknown>>;
  /** SHA-256 over the configuration and all weight files, hex. */
  contentHash(): Promise<string>;
  /** That it is in. */
  readonly filePaths: readonly string[];
}

const singleFileName = "model.safetensors";
const indexFileName = "model.safetensors.index.json";
const lengthPrefixBytes = 8;
const maxHeaderBytes = 100_000_000; // as the reference implementation

const encodings: ReadonlyMap<string, TensorEncoding> = new Map(
  [float32, float16, bfloat16].map((encoding) => [encoding.name, encoding]),
);

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

const tensorSchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.int().nonnegative()),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});

/** The header's tensors and its free-form metadata, apart. */
const headerSchema = z
  .record(z.string(), z.unknown())
  .transform(({ __metadata__: metadata = {}, ...tensors }) => ({ metadata, tensors }))
  .pipe(
    z.object({
      metadata: z.record(z.string(), z.string()),
      tensors: z.record(z.string(), tensorSchema),
    }),
  );

/** A folder has weights as `openSafetensors` reads them. */
export function hasSafetensors(folder: string): boolean {
  return [singleFileName, indexFileName].some((name) => existsSync(join(folder, name)));
}

/**
 * Opens a folder with `config.json` and `model.safetensors`, or the shards that
 * `model.safetensors.index.json` names. Its tensors are read on demand.
 * @throws ModelLoadError when a file is missing, truncated or inconsistent with its header or index.
 */
export function openSafetensors(folder: string): SafetensorsCheckpoint {
  const config = readJsonFile(join(folder, "config.json"), z.record(z.string(), z.unknown()));
  const files: TensorFile[] = [];
  const open = (name: string): TensorFile => {
    const file = new TensorFile(join(folder, name));
    files.push(file);
    return file;
  };
  try {
    const tensors = existsSync(join(folder, singleFileName))
      ? locateTensors(open(singleFileName))
      : locateShardedTensors(folder, open);
    return new OpenSafetensors(folder, config, files, tensors);
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

/** One safetensors file by itself, which is no model. */
export interface SafetensorsFile {
  /** Free-form texts from the header. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensorNames: readonly string[];
  /** Row-major values. @throws ModelLoadError when the tensor is absent or cannot be read. */
  readTensor(name: string): Float32Array;
  close(): void;
}

/** @throws ModelLoadError when the file is missing, truncated or inconsistent with its header. */
export function openSafetensorsFile(path: string): SafetensorsFile {
  const file = new TensorFile(path);
  try {
    const header = readHeader(file);
    const tensors = locateTensors(file, header);
    return {
      metadata: header.metadata,
      tensorNames: [...tensors.keys()],
      readTensor: (name) => {
        const tensor = tensors.get(name);
        if (!tensor) throw new ModelLoadError(path, `has no tensor ${name}`);
        return file.readTensor(tensor);
      },
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

class OpenSafetensors implements SafetensorsCheckpoint {
  readonly format = "safetensors";
  readonly path: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly #files: readonly TensorFile[];
  readonly reader: LocatedTensors;

  constructor(
    path: string,
    config: Readonly<Record<string, unknown>>,
    files: readonly TensorFile[],
    tensors: ReadonlyMap<string, LocatedTensor>,
  ) {
    this.path = path;
    this.config = config;
    this.#files = files;
    this.reader = new LocatedTensors(path, files, tensors);
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
    const hash = createHash("sha256").update(JSON.stringify(this.config));
    for (const file of this.#files) {
      hash.update(`${basename(file.path)} ${await file.sha256()}\n`);
    }
    return hash.digest("hex");
  }

  storedMatrix(name: string): StoredMatrix | undefined {
    return this.reader.storedMatrix(name);
  }

  close(): void {
    this.reader.close();
  }
}

function locateShardedTensors(
  folder: string,
  open: (name: string) => TensorFile,
): ReadonlyMap<string, LocatedTensor> {
  const indexPath = join(folder, indexFileName);
  if (!existsSync(indexPath)) {
    throw new ModelLoadError(
      folder,
      `has no weights: expected ${singleFileName} or ${indexFileName}`,
    );
  }
  const { weight_map: weightMap } = readJsonFile(indexPath, indexSchema);
  const shards = new Map<string, ReadonlyMap<string, LocatedTensor>>();
  for (const name of new Set(Object.values(weightMap))) {
    if (basename(name) !== name || !existsSync(join(folder, name))) {
      throw new ModelLoadError(indexPath, `names the file ${name}, which is not in the folder`);
    }
    shards.set(name, locateTensors(open(name)));
  }
  const tensors = new Map<string, LocatedTensor>();
  for (const [name, shard] of Object.entries(weightMap)) {
    const tensor = shards.get(shard)?.get(name);
    if (!tensor) {
      throw new ModelLoadError(
        indexPath,
        `places tensor ${name} in ${shard}, which does not have it`,
      );
    }
    tensors.set(name, tensor);
  }
  return tensors;
}

interface Header extends z.infer<typeof headerSchema> {
  /** Where the tensors begin. */
  readonly dataStart: number;
}

function readHeader(file: TensorFile): Header {
  const lengthPrefix = new Uint8Array(lengthPrefixBytes);
  file.readBytes(0, lengthPrefix);
  const headerBytes = Number(new DataView(lengthPrefix.buffer).getBigUint64(0, true));
  const largest = Math.min(maxHeaderBytes, file.sizeBytes - lengthPrefixBytes);
  if (headerBytes > largest) {
    throw new ModelLoadError(
      file.path,
      `states a header of ${headerBytes} bytes, expected at most ${largest} ` +
        `in a file of ${file.sizeBytes} bytes: it is truncated or no safetensors file`,
    );
  }
  const header = new Uint8Array(headerBytes);
  file.readBytes(lengthPrefixBytes, header);
  const text = new TextDecoder().decode(header);
  const dataStart = lengthPrefixBytes + headerBytes;
  return { ...parseJson(file.path, text, headerSchema), dataStart };
}

function locateTensors(
  file: TensorFile,
  header: Header = readHeader(file),
): ReadonlyMap<string, LocatedTensor> {
  const tensors = new Map<string, LocatedTensor>();
  for (const [name, info] of Object.entries(header.tensors)) {
    tensors.set(name, locateTensor(file, name, info, header.dataStart));
  }
  checkTensorRanges(file, [...tensors.values()]);
  return tensors;
}

function locateTensor(
  file: TensorFile,
  name: string,
  { dtype, shape, data_offsets: [begin, end] }: z.infer<typeof tensorSchema>,
  dataStart: number,
): LocatedTensor {
  const encoding = encodings.get(dtype);
  if (!encoding) {
    throw new ModelLoadError(
      file.path,
      `tensor ${name} has type ${dtype}, expected one of ${[...encodings.keys()].join(", ")}`,
    );
  }
  const sizeBytes = shape.reduce((product, size) => product * size, 1) * encoding.blockBytes;
  if (end - begin !== sizeBytes) {
    throw new ModelLoadError(
      file.path,
      `tensor ${name} of shape [${shape.join(", ")}] and type ${dtype} ` +
        `has ${end - begin} bytes, expected ${sizeBytes}`,
    );
  }
  return { name, shape, encoding, offsetBytes: dataStart + begin, sizeBytes, file };
}
