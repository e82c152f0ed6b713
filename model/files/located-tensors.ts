import { ModelLoadError } from "../errors.ts";
import type { RowRange, TensorReader } from "./checkpoint.ts";
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

  close(): void {
    for (const file of this.#files) file.close();
  }
}
