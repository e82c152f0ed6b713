/** How a stage stores its matrices: block-wise integers with a scale per 32 weights, or plain floats. */
export type WeightFormat = "q8" | "q4" | "f32";

export const QUANT_BLOCK_SIZE = 32;

/**
 * A matrix as ONNX Runtime's MatMulNBits and GatherBlockQuantized read it.
 * weight = (q - zeroPoint) * scale, with zeroPoint 128 for 8 bits.
 */
export interface QuantizedMatrix {
  readonly bits: 8 | 4;
  /** Shape `[rows, numBlocks, 32 * bits / 8]`; of two 4-bit values in a byte the first is the low half. */
  readonly data: Uint8Array;
  /** Shape `[rows, numBlocks]`. */
  readonly scales: Float32Array;
  /** 4 bits only: packed like `data`, shape `[rows, ceil(numBlocks / 2)]`. */
  readonly zeroPoints: Uint8Array | null;
}

/**
 * Quantises along the columns in blocks of 32, to nearest; the last block of a row is padded with zeros.
 * 8 bits: symmetric, largest magnitude at 127. 4 bits: from the smallest to the largest value, 0 exact.
 * @param matrix shape `[rows, columns]`, row-major
 */
export function quantize(
  matrix: Float32Array,
  rows: number,
  columns: number,
  bits: 8 | 4,
): QuantizedMatrix {
  return bits === 8 ? quantize8(matrix, rows, columns) : quantize4(matrix, rows, columns);
}

/** Bytes of a matrix, with scales and zero points. */
export function storedBytes(rows: number, columns: number, format: WeightFormat): number {
  if (format === "f32") return rows * columns * Float32Array.BYTES_PER_ELEMENT;
  const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
  const scales = numBlocks * Float32Array.BYTES_PER_ELEMENT;
  if (format === "q8") return rows * (numBlocks * QUANT_BLOCK_SIZE + scales);
  return rows * ((numBlocks * QUANT_BLOCK_SIZE) / 2 + scales + Math.ceil(numBlocks / 2));
}

function quantize8(matrix: Float32Array, rows: number, columns: number): QuantizedMatrix {
  const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
  const data = new Uint8Array(rows * numBlocks * QUANT_BLOCK_SIZE).fill(128);
  const scales = new Float32Array(rows * numBlocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < numBlocks; block++) {
      const start = row * columns + block * QUANT_BLOCK_SIZE;
      const end = Math.min(start + QUANT_BLOCK_SIZE, (row + 1) * columns);
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
  return { bits: 8, data, scales, zeroPoints: null };
}

function quantize4(matrix: Float32Array, rows: number, columns: number): QuantizedMatrix {
  const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
  const halfBlock = QUANT_BLOCK_SIZE / 2;
  const zeroPointStride = Math.ceil(numBlocks / 2);
  const data = new Uint8Array(rows * numBlocks * halfBlock);
  const scales = new Float32Array(rows * numBlocks);
  const zeroPoints = new Uint8Array(rows * zeroPointStride);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < numBlocks; block++) {
      const start = row * columns + block * QUANT_BLOCK_SIZE;
      const end = Math.min(start + QUANT_BLOCK_SIZE, (row + 1) * columns);
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
  return { bits: 4, data, scales, zeroPoints };
}
