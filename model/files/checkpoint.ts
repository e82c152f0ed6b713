/** Rows of a matrix, or numbers of a vector. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** Reads tensors by their names. */
export interface TensorReader {
  /**
   * Dequantised values, row-major.
   * @param rows those of them that are read @default all
   * @throws ModelLoadError when the tensor is absent or its bytes cannot be read.
   */
  readTensor(name: string, rows?: RowRange): Float32Array;
  close(): void;
}

/** A container of named tensors, read lazily: a GGUF file or a folder of safetensors files. */
export interface Checkpoint extends TensorReader {
  readonly format: "gguf" | "safetensors";
  /** File or folder, for messages. */
  readonly path: string;
  readonly tensorNames: readonly string[];
  /** Row-major shape, slowest dimension first (`[outFeatures, inFeatures]`), or undefined if absent. */
  tensorShape(name: string): readonly number[] | undefined;
  /** By itself, without all that a header says besides: of large vocabularies that is much. */
  readonly reader: TensorReader;
}
