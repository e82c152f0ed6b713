import { QUANT_BLOCK_SIZE } from "../../model/weights/quantize.ts";
import type { QuantizedMatrix } from "../../model/weights/quantize.ts";

/** Reads the blocks value by value, padding included: `[rows, numBlocks * 32]`. */
export function dequantize(
  { bits, data, scales, zeroPoints, offsets }: QuantizedMatrix,
  rows: number,
): number[] {
  const numBlocks = scales.length / rows;
  const nibble = (bytes: Uint8Array, start: number, i: number) =>
    (bytes[start + Math.floor(i / 2)]! >> (i % 2 === 0 ? 0 : 4)) & 15;
  const values: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < numBlocks * QUANT_BLOCK_SIZE; column++) {
      const block = Math.floor(column / QUANT_BLOCK_SIZE);
      const scale = scales[row * numBlocks + block]!;
      if (bits === 8) {
        values.push((data[row * numBlocks * QUANT_BLOCK_SIZE + column]! - 128) * scale);
      } else {
        const quant = nibble(data, (row * numBlocks * QUANT_BLOCK_SIZE) / 2, column);
        const zeroPoint =
          zeroPoints === null ? 8 : nibble(zeroPoints, row * Math.ceil(numBlocks / 2), block);
        values.push((quant - zeroPoint) * scale + (offsets?.[block * rows + row] ?? 0));
      }
    }
  }
  return values;
}
