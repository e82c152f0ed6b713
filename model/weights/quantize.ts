import type { RowRange, StoredMatrix } from "../files/checkpoint.ts";
import type { MatrixRows } from "./matrix-rows.ts";

/** How a stage stores its matrices: block-wise integers with a scale per 32 weights, or plain floats. */
export type WeightFormat = "q8" | "q4" | "f32";

/** What a format makes of a file's weights, in keys of what is made from them: another name when that changes. */
export function formatIdentity(format: WeightFormat): string {
  // Blocks of 4 bits were rounded a second time before.
  return format === "q4" ? "q4 of the file's blocks" : format;
}

export const QUANT_BLOCK_SIZE = 32;

/**
 * A matrix as ONNX Runtime's MatMulNBits and GatherBlockQuantized read it.
 * weight = (q - zeroPoint) * scale + offset, with zeroPoint 128 for 8 bits.
 */
export interface QuantizedMatrix {
  readonly bits: 8 | 4;
  /** Shape `[rows, numBlocks, 32 * bits / 8]`; of two 4-bit values in a byte the first is the low half. */
  readonly data: Uint8Array;
  /** Shape `[rows, numBlocks]`. */
  readonly scales: Float32Array;
  /** 4 bits only: packed like `data`, shape `[rows, ceil(numBlocks / 2)]`; null for 8 in each block. */
  readonly zeroPoints: Uint8Array | null;
  /** Added to the weights of a block. Shape `[numBlocks, rows]`; null for none. */
  readonly offsets: Float32Array | null;
}

/** Values that are in memory as fp32 at a time. */
const chunkValues = 1 << 20;

/** Calls `use` with one part of a matrix after the other. */
export function forChunks(
  { rows, columns, read }: MatrixRows,
  use: (values: Float32Array, range: RowRange) => void,
): void {
  const step = Math.max(1, Math.floor(chunkValues / columns));
  for (let start = 0; start < rows; start += step) {
    const range = { start, end: Math.min(rows, start + step) };
    use(read(range), range);
  }
}

/**
 * Quantises along the columns in blocks of 32, to nearest; the last block of a row is padded with zeros.
 * 8 bits: symmetric, largest magnitude at 127. 4 bits: from the smallest to the largest value, 0 exact.
 */
export function quantizeRows(matrix: MatrixRows, bits: 8 | 4): QuantizedMatrix {
  const { rows, columns } = matrix;
  const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
  const result = {
    data: new Uint8Array((rows * numBlocks * QUANT_BLOCK_SIZE * bits) / 8),
    scales: new Float32Array(rows * numBlocks),
  };
  if (bits === 8) {
    result.data.fill(128);
    forChunks(matrix, (values, range) => quantize8(values, { ...range, columns }, result));
    return { bits, ...result, zeroPoints: null, offsets: null };
  }
  const zeroPoints = new Uint8Array(rows * Math.ceil(numBlocks / 2));
  forChunks(matrix, (values, range) =>
    quantize4(values, { ...range, columns }, { ...result, zeroPoints }),
  );
  return { bits, ...result, zeroPoints, offsets: null };
}

/** The blocks of a matrix as its file has them. */
export function fileBlocks(
  { rows, columns }: MatrixRows,
  { bits, read }: NonNullable<StoredMatrix["blocks"]>,
): QuantizedMatrix {
  const numBlocks = columns / QUANT_BLOCK_SIZE;
  const { data, scales, offsets } = read({ start: 0, end: rows });
  return {
    bits,
    data,
    scales,
    zeroPoints: null,
    offsets: offsets && transposed(offsets, numBlocks),
  };
}

/** @param values shape `[rows, columns]` @returns `[columns, rows]` */
function transposed(values: Float32Array, columns: number): Float32Array {
  const rows = values.length / columns;
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column]!;
    }
  }
  return result;
}

/** `quantizeRows` of a matrix in memory. @param matrix shape `[rows, columns]`, row-major */
export function quantize(
  matrix: Float32Array,
  rows: number,
  columns: number,
  bits: 8 | 4,
): QuantizedMatrix {
  const read = ({ start, end }: RowRange) => matrix.subarray(start * columns, end * columns);
  return quantizeRows({ rows, columns, read }, bits);
}

/** Bytes of a matrix, with scales and zero points. */
export function storedBytes(rows: number, columns: number, format: WeightFormat): number {
  if (format === "f32") return rows * columns * Float32Array.BYTES_PER_ELEMENT;
  const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
  const scales = numBlocks * Float32Array.BYTES_PER_ELEMENT;
  if (format === "q8") return rows * (numBlocks * QUANT_BLOCK_SIZE + scales);
  return rows * ((numBlocks * QUANT_BLOCK_SIZE) / 2 + scales + Math.ceil(numBlocks / 2));
}

/** Rows of a matrix that are quantised. */
interface RowsAt extends RowRange {
  readonly columns: number;
}

/** @param rows where the values are in the matrix whose result is written into */
function quantize8(
  matrix: Float32Array,
  { start: firstRow, end: endRow, columns }: RowsAt,
  { data, scales }: { readonly data: Uint8Array; readonly scales: Float32Array },
): void {
  const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
  for (let row = firstRow; row < endRow; row++) {
    const rowStart = (row - firstRow) * columns;
    for (let block = 0; block < numBlocks; block++) {
      const start = rowStart + block * QUANT_BLOCK_SIZE;
      const end = Math.min(start + QUANT_BLOCK_SIZE, rowStart + columns);
      let largest = 0;
      for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(matrix[i]!));
      const index = row * numBlocks + block;
      scales[index] = largest / 127;
      if (largest === 0) continue;
      const inverse = 127 / largest;
      const target = index * QUANT_BLOCK_SIZE - start;
      // Positive before truncation: a fast rounding.
      for (let i = start; i < end; i++) data[target + i] = (matrix[i]! * inverse + 128.5) | 0;
    }
  }
}

function quantize4(
  matrix: Float32Array,
  { start: firstRow, end: endRow, columns }: RowsAt,
  {
    data,
    scales,
    zeroPoints,
  }: Record<"data" | "zeroPoints", Uint8Array> & {
    readonly scales: Float32Array;
  },
): void {
  const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
  const halfBlock = QUANT_BLOCK_SIZE / 2;
  const zeroPointStride = Math.ceil(numBlocks / 2);
  for (let row = firstRow; row < endRow; row++) {
    const rowStart = (row - firstRow) * columns;
    for (let block = 0; block < numBlocks; block++) {
      const start = rowStart + block * QUANT_BLOCK_SIZE;
      const end = Math.min(start + QUANT_BLOCK_SIZE, rowStart + columns);
      let low = 0;
      let high = 0;
      for (let i = start; i < end; i++) {
        if (matrix[i]! < low) low = matrix[i]!;
        if (matrix[i]! > high) high = matrix[i]!;
      }
      const scale = (high - low) / 15;
      const inverse = scale === 0 ? 0 : 1 / scale;
      const zeroPoint = Math.round(-low * inverse);
      const index = row * numBlocks + block;
      scales[index] = scale;
      zeroPoints[row * zeroPointStride + (block >> 1)]! |= zeroPoint << ((block & 1) * 4);
      for (let i = 0; i < QUANT_BLOCK_SIZE; i++) {
        const value = start + i < end ? matrix[start + i]! : 0;
        const quant = Math.min(15, Math.max(0, (value * inverse + zeroPoint + 0.5) | 0));
        data[index * halfBlock + (i >> 1)]! |= quant << ((i & 1) * 4);
      }
    }
  }
}
