import { closeSync, createReadStream, fstatSync, openSync, readSync } from "node:fs";
import { createHash } from "node:crypto";
import { ModelLoadError } from "../errors.ts";
import type { RowRange } from "./checkpoint.ts";
import type { BlockReader, FileBlocks, TensorEncoding } from "./tensor-encoding.ts";

/** Where a tensor lies in its file and how to read it. */
export interface StoredTensor {
  readonly name: string;
  /** Row-major, slowest dimension first. */
  readonly shape: readonly number[];
  readonly encoding: TensorEncoding;
  /** From the start of the file. */
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/** Large enough for few system calls, small enough to stay in the cache while it is decoded. */
const chunkBytes = 1 << 20;

/** A file that tensors are read from, opened once; it may be larger than 4 GiB. */
export class TensorFile {
  readonly path: string;
  readonly sizeBytes: number;
  #fd: number;

  /** @throws ModelLoadError when the path is not a readable file. */
  constructor(path: string) {
    this.path = path;
    try {
      this.#fd = openSync(path, "r");
    } catch (cause) {
      throw new ModelLoadError(path, `cannot be opened (${(cause as Error).message})`, { cause });
    }
    const stat = fstatSync(this.#fd);
    if (!stat.isFile()) {
      this.close();
      throw new ModelLoadError(path, "expected a file");
    }
    this.sizeBytes = stat.size;
  }

  /** @throws ModelLoadError when the file ends before `out` is full. */
  readBytes(offsetBytes: number, out: Uint8Array): void {
    if (this.#fd < 0) throw new ModelLoadError(this.path, "was closed");
    let done = 0;
    while (done < out.length) {
      let count: number;
      try {
        count = readSync(this.#fd, out, done, out.length - done, offsetBytes + done);
      } catch (cause) {
        throw new ModelLoadError(
          this.path,
          `cannot be read at byte ${offsetBytes + done} (${(cause as Error).message})`,
          { cause },
        );
      }
      if (count === 0) {
        throw new ModelLoadError(
          this.path,
          `ends at byte ${offsetBytes + done}, expected at least ${offsetBytes + out.length} bytes`,
        );
      }
      done += count;
    }
  }

  /**
   * Row-major values.
   * @param rows where a row has whole blocks @default all
   * @throws ModelLoadError when the bytes cannot be read.
   */
  readTensor(tensor: StoredTensor, rows?: RowRange): Float32Array {
    const { encoding } = tensor;
    const { blockValues } = encoding;
    const { start, end, rowLength } = rowsOf(tensor, rows);
    const values = new Float32Array((end - start) * rowLength);
    this.#forBlocks(tensor, { start, end, rowLength }, (bytes, block, count) => {
      encoding.decode(bytes, values.subarray(block * blockValues, (block + count) * blockValues));
    });
    return values;
  }

  /**
   * Rows of a matrix as the file has them.
   * @param reader of the tensor's encoding
   * @throws ModelLoadError when the bytes cannot be read.
   */
  readBlocks(tensor: StoredTensor, reader: BlockReader, rows?: RowRange): FileBlocks {
    const { blockValues } = tensor.encoding;
    const { start, end, rowLength } = rowsOf(tensor, rows);
    const numBlocks = ((end - start) * rowLength) / 32;
    const blocks: FileBlocks = {
      data: new Uint8Array(4 * reader.bits * numBlocks),
      scales: new Float32Array(numBlocks),
      offsets: reader.hasOffsets ? new Float32Array(numBlocks) : null,
    };
    this.#forBlocks(tensor, { start, end, rowLength }, (bytes, block) => {
      reader.read(bytes, blocks, (block * blockValues) / 32);
    });
    return blocks;
  }

  /** @param use called with bytes of whole blocks, and which of those of the rows they are */
  #forBlocks(
    tensor: StoredTensor,
    { start, end, rowLength }: RowRange & { readonly rowLength: number },
    use: (bytes: Uint8Array, block: number, count: number) => void,
  ): void {
    const { blockValues, blockBytes } = tensor.encoding;
    const numBlocks = ((end - start) * rowLength) / blockValues;
    const offsetBytes = tensor.offsetBytes + ((start * rowLength) / blockValues) * blockBytes;
    const blocksPerChunk = Math.floor(chunkBytes / blockBytes);
    const chunk = new Uint8Array(Math.min(blocksPerChunk, numBlocks) * blockBytes);
    for (let block = 0; block < numBlocks; block += blocksPerChunk) {
      const last = Math.min(block + blocksPerChunk, numBlocks);
      const bytes = chunk.subarray(0, (last - block) * blockBytes);
      this.readBytes(offsetBytes + block * blockBytes, bytes);
      use(bytes, block, last - block);
    }
  }

  /** SHA-256 of the whole file, hex. */
  async sha256(): Promise<string> {
    const hash = createHash("sha256");
    const stream = createReadStream(this.path, {
      fd: this.#fd,
      autoClose: false,
      start: 0,
      highWaterMark: chunkBytes,
    });
    for await (const chunk of stream) hash.update(chunk as Buffer);
    return hash.digest("hex");
  }

  /** May be called twice. */
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

function rowsOf(
  { shape }: StoredTensor,
  rows: RowRange | undefined,
): RowRange & { readonly rowLength: number } {
  const rowLength = shape.slice(1).reduce((product, size) => product * size, 1);
  return { ...(rows ?? { start: 0, end: shape[0] ?? 1 }), rowLength };
}

/** @throws ModelLoadError naming the first tensor that is not whole in the file or overlaps another. */
export function checkTensorRanges(file: TensorFile, tensors: readonly StoredTensor[]): void {
  const sorted = tensors.toSorted((a, b) => a.offsetBytes - b.offsetBytes);
  let previous: StoredTensor | undefined;
  for (const tensor of sorted) {
    const end = tensor.offsetBytes + tensor.sizeBytes;
    if (end > file.sizeBytes) {
      throw new ModelLoadError(
        file.path,
        `tensor ${tensor.name} needs bytes ${tensor.offsetBytes} to ${end}, ` +
          `but the file has ${file.sizeBytes} bytes: it is truncated or its header is damaged`,
      );
    }
    if (previous && tensor.offsetBytes < previous.offsetBytes + previous.sizeBytes) {
      throw new ModelLoadError(
        file.path,
        `tensor ${tensor.name} starts at byte ${tensor.offsetBytes}, inside tensor ${previous.name}`,
      );
    }
    previous = tensor;
  }
}
