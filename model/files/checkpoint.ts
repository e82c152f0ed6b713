import type { FileBlocks } from "./tensor-encoding.ts";

/** Rows of a matrix, or numbers of a vector. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** A matrix as a file has it. */
export interface StoredMatrix {
  /** Of a weight, rounded down: 4 for all formats of 4 bits, 16 and 32 for plain numbers. */
  readonly bits: number;
  /** Rows in blocks of 32 that a kernel can take as they are; null where the format has others. */
  readonly blocks: {
    readonly bits: 4 | 8;
    readonly read: (rows: RowRange) => FileBlocks;
  } | null;
}

/** Reads tensors by their names. */
export interface TensorReader {
  /**
   * Dequantised values, row-major.
   * @param rows those of them that are read @default all
   * @throws ModelLoadError when the tensor is absent or its bytes cannot be read.
   */
  readTensor(name: string, rows?: RowRange): Float32Array;
  /** How a matrix is stored; undefined where there is none of the name. */
  storedMatrix(name: string): StoredMatrix | undefined;
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
