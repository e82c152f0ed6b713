import { ModelLoadError } from "../errors.ts";
import type { TensorFile } from "./tensor-file.ts";

/** Arrays are nested as in the file; 64-bit integers are bigints. */
export type GgufValue = string | number | bigint | boolean | GgufValue[];

export type GgufMetadata = Readonly<Record<string, GgufValue>>;

export interface GgufTensorInfo {
  readonly name: string;
  /** Row-major, slowest dimension first: the reverse of the order in the file. */
  readonly shape: readonly number[];
  /** Number of the `ggml_type`. */
  readonly type: number;
  /** From the start of the tensor data. */
  readonly offsetBytes: number;
}

export interface GgufHeader {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensorInfo[];
  /** Else the bytes of all numbers are the other way round, those of the tensors too. */
  readonly isLittleEndian: boolean;
  /** Length of the header without padding, in bytes. */
  readonly sizeBytes: number;
}

const maxDimensions = 4; // of ggml
const maxArrayDepth = 4;
// Far above any real header; they keep a damaged one from filling the memory.
const maxArrayLength = 1 << 24;
const maxStringBytes = 1 << 26;
const readAheadBytes = 1 << 20;

/**
 * Reads the header of a GGUF file, version 2 or 3, of either byte order.
 *
 * Written here rather than taken from `@huggingface/gguf` 0.4.6, which reads past the end of a truncated
 * header as zeros and drops a byte order mark at the start of a token (Llama 2 has such a token).
 * @throws ModelLoadError when the file is no GGUF file, or ends within its header.
 */
export function readGgufHeader(file: TensorFile): GgufHeader {
  const reader = new Reader(file);
  reader.readMagic();
  const numTensors = reader.readSize();
  const numEntries = reader.readSize();

  const metadata = Object.create(null) as Record<string, GgufValue>;
  for (let i = 0; i < numEntries; i++) {
    const key = reader.readString();
    if (key in metadata) throw new ModelLoadError(file.path, `metadata key ${key} occurs twice`);
    metadata[key] = reader.readValue(reader.readUint32(), 0);
  }

  const tensors: GgufTensorInfo[] = [];
  for (let i = 0; i < numTensors; i++) {
    const name = reader.readString();
    const numDimensions = reader.readUint32();
    if (numDimensions < 1 || numDimensions > maxDimensions) {
      throw new ModelLoadError(
        file.path,
        `tensor ${name} has ${numDimensions} dimensions, expected 1 to ${maxDimensions}`,
      );
    }
    const shape = Array.from({ length: numDimensions }, () => reader.readSize()).reverse();
    tensors.push({ name, shape, type: reader.readUint32(), offsetBytes: reader.readSize() });
  }
  const { isLittleEndian, position: sizeBytes } = reader;
  return { metadata, tensors, isLittleEndian, sizeBytes };
}

/** Reads the head of the file a piece at a time; never asks for more than the file has. */
class Reader {
  readonly #file: TensorFile;
  readonly #text = new TextDecoder("utf-8", { ignoreBOM: true });
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  /** Position in the file of `#bytes[0]`. */
  #start = 0;
  /** Known from the version on. */
  #isLittleEndian = true;
  /** Next byte to read, relative to `#start`. */
  #at = 0;

  constructor(file: TensorFile) {
    this.#file = file;
  }

  get isLittleEndian(): boolean {
    return this.#isLittleEndian;
  }

  get position(): number {
    return this.#start + this.#at;
  }

  readMagic(): void {
    const magic = this.#text.decode(this.#take(4));
    if (magic !== "GGUF") {
      throw new ModelLoadError(
        this.#file.path,
        `is not a GGUF file: expected it to start with "GGUF", found ${JSON.stringify(magic)}`,
      );
    }
    let version = this.readUint32();
    if (version !== 0 && (version & 0xffff) === 0) {
      this.#isLittleEndian = false;
      version = Buffer.from(Uint32Array.of(version).buffer).readUint32BE();
    }
    if (version !== 2 && version !== 3) {
      throw new ModelLoadError(
        this.#file.path,
        `has GGUF version ${version}, expected version 2 or 3`,
      );
    }
  }

  readUint32(): number {
    return this.#scalar(4, (view, at) => view.getUint32(at, this.#isLittleEndian));
  }

  /** A 64-bit count, size or offset. */
  readSize(): number {
    const value = this.#scalar(8, (view, at) => view.getBigUint64(at, this.#isLittleEndian));
    if (value > Number.MAX_SAFE_INTEGER) {
      throw new ModelLoadError(
        this.#file.path,
        `has a size of ${value.toString()} at byte ${this.position - 8} of its header: it is damaged`,
      );
    }
    return Number(value);
  }

  readString(): string {
    const length = this.readSize();
    if (length > maxStringBytes) {
      throw new ModelLoadError(
        this.#file.path,
        `has a string of ${length} bytes at byte ${this.position} of its header: it is damaged`,
      );
    }
    return this.#text.decode(this.#take(length));
  }

  readValue(type: number, depth: number): GgufValue {
    switch (type) {
      case 0:
        return this.#scalar(1, (view, at) => view.getUint8(at));
      case 1:
        return this.#scalar(1, (view, at) => view.getInt8(at));
      case 2:
        return this.#scalar(2, (view, at) => view.getUint16(at, this.#isLittleEndian));
      case 3:
        return this.#scalar(2, (view, at) => view.getInt16(at, this.#isLittleEndian));
      case 4:
        return this.readUint32();
      case 5:
        return this.#scalar(4, (view, at) => view.getInt32(at, this.#isLittleEndian));
      case 6:
        return this.#scalar(4, (view, at) => view.getFloat32(at, this.#isLittleEndian));
      case 7:
        return this.#scalar(1, (view, at) => view.getUint8(at)) !== 0;
      case 8:
        return this.readString();
      case 9:
        return this.#readArray(depth + 1);
      case 10:
        return this.#scalar(8, (view, at) => view.getBigUint64(at, this.#isLittleEndian));
      case 11:
        return this.#scalar(8, (view, at) => view.getBigInt64(at, this.#isLittleEndian));
      case 12:
        return this.#scalar(8, (view, at) => view.getFloat64(at, this.#isLittleEndian));
      default:
        throw new ModelLoadError(
          this.#file.path,
          `has metadata of type ${type} at byte ${this.position} of its header, expected 0 to 12`,
        );
    }
  }

  #readArray(depth: number): GgufValue[] {
    if (depth > maxArrayDepth) {
      throw new ModelLoadError(
        this.#file.path,
        `has metadata arrays nested more than ${maxArrayDepth} deep`,
      );
    }
    const type = this.readUint32();
    const length = this.readSize();
    if (length > maxArrayLength) {
      throw new ModelLoadError(
        this.#file.path,
        `has an array of ${length} values at byte ${this.position} of its header: it is damaged`,
      );
    }
    const values: GgufValue[] = [];
    for (let i = 0; i < length; i++) values.push(this.readValue(type, depth));
    return values;
  }

  #scalar<T>(sizeBytes: number, read: (view: DataView, at: number) => T): T {
    const at = this.#advance(sizeBytes);
    return read(this.#view, at);
  }

  #take(count: number): Uint8Array {
    const from = this.#advance(count);
    return this.#bytes.subarray(from, from + count);
  }

  /** Makes sure that `count` bytes are there, steps over them and returns where they are in `#bytes`. */
  #advance(count: number): number {
    const from = this.#at;
    if (from + count <= this.#bytes.length) {
      this.#at += count;
      return from;
    }
    const start = this.position;
    const available = this.#file.sizeBytes - start;
    if (count > available) {
      throw new ModelLoadError(
        this.#file.path,
        `ends within its header: ${count} bytes expected at byte ${start}, ` +
          `but the file has ${this.#file.sizeBytes} bytes`,
      );
    }
    const bytes = new Uint8Array(Math.min(Math.max(count, readAheadBytes), available));
    this.#file.readBytes(start, bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    this.#start = start;
    this.#at = count;
    return 0;
  }
}
