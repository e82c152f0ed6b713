/** One element type: values come in blocks of a fixed number of bytes. */
export interface TensorEncoding {
  readonly name: string;
  readonly blockValues: number;
  readonly blockBytes: number;
  /** Numbers of more than one byte in a block: their size, and where they begin. */
  readonly numbers: { readonly sizeBytes: 2 | 4; readonly offsets: readonly number[] };
  /**
   * Decodes as many whole blocks as `out` has room for. `bytes` starts at a multiple of 8 in its
   * buffer, so it may be viewed as a wider typed array; it may be overwritten. Numbers and hosts are little-endian.
   */
  decode(bytes: Uint8Array, out: Float32Array): void;
  /** How blocks are taken as they are, where a kernel can take them. */
  readonly blocks?: BlockReader | undefined;
}

/** Some rows of a matrix as a file has them. */
export interface FileBlocks {
  /** Shape `[rows, numBlocks, 32 * bits / 8]`; of two 4-bit values in a byte the first is the low half. */
  readonly data: Uint8Array;
  /** Shape `[rows, numBlocks]`. */
  readonly scales: Float32Array;
  /** Shape `[rows, numBlocks]`; null where there are none. */
  readonly offsets: Float32Array | null;
}

/** How blocks of a format are taken as they are. */
export interface BlockReader {
  readonly bits: 4 | 8;
  readonly hasOffsets: boolean;
  /** @param bytes whole blocks of the format @param at first block of 32 that is written */
  read(bytes: Uint8Array, out: FileBlocks, at: number): void;
}
