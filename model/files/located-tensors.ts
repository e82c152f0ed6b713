import { ModelLoadError } from "../errors.ts";
import type { RowRange, StoredMatrix, TensorReader } from "./checkpoint.ts";
import type { StoredTensor, TensorFile } from "./tensor-file.ts";

export interface LocatedTensor extends StoredTensor {
  readonly file: TensorFile;
}

/** The tensors of some files, closed with them. */
export class LocatedTensors implements TensorReader {
  readonly #path: string;
  readonly #files: readonly TensorFile[];
  readonly #tensors: ReadonlyMap<string, LocatedTensor>;

  /** @param path of the whole, for messages */
  constructor(
    path: string,
    files: readonly TensorFile[],
    tensors: ReadonlyMap<string, LocatedTensor>,
  ) {
    this.#path = path;
    this.#files = files;
    this.#tensors = tensors;
  }

  get filePaths(): readonly string[] {
    return this.#files.map(({ path }) => path);
  }

  get names(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  shape(name: string): readonly number[] | undefined {
    return this.#tensors.get(name)?.shape;
  }

  readTensor(name: string, rows?: RowRange): Float32Array {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new ModelLoadError(this.#path, `has no tensor ${name}`);
    return tensor.file.readTensor(tensor, rows);
  }

  storedMatrix(name: string): StoredMatrix | undefined {
    const tensor = this.#tensors.get(name);
    if (!tensor) return undefined;
    const { blockBytes, blockValues, blocks } = tensor.encoding;
    return {
      bits: Math.floor((8 * blockBytes) / blockValues),
      blocks: blocks
        ? { bits: blocks.bits, read: (rows) => tensor.file.readBlocks(tensor, blocks, rows) }
        : null,
    };
  }

  close(): void {
    for (const file of this.#files) file.close();
  }
}
