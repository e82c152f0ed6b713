import type { RowRange } from "../model/files/checkpoint.ts";
import type { ModelWeights } from "../model/weights/config.ts";
import { isProjection } from "../model/weights/layer-spec.ts";

/** A way to round matrices, in blocks along their columns, each with a scale and at 4 bits a zero point. */
export interface Rounding {
  readonly name: string;
  readonly bits: 4 | 8;
  readonly blockSize: 32 | 64 | 128;
  /** Among narrower ranges too, the one of least squared error; at 4 bits. */
  readonly searches: boolean;
}

/** Shares of a block's range that a search tries. */
const shares = [1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7];

/**
 * Weights that were rounded and read again, as fp32: what rounding costs, apart from what a kernel does with
 * activations. Embedding and head are in 8 bits at least, as they are served.
 */
export function roundedWeights(weights: ModelWeights, rounding: Rounding): ModelWeights {
  const { hiddenSize } = weights.config;
  const table: Rounding = { ...rounding, bits: 8, blockSize: 32 };
  return {
    config: weights.config,
    contentHash: `${weights.contentHash} ${rounding.name}`,
    readTensor(role, rows) {
      const values = weights.readTensor(role, rows);
      return role === "finalNorm" ? values : roundTrip(values, hiddenSize, table);
    },
    readLayerTensor(layer, role, rows?: RowRange) {
      const values = weights.readLayerTensor(layer, role, rows);
      if (!isProjection(role)) return values;
      const { numHeads, headDim, intermediateSize } = weights.config;
      const widths = { output: numHeads * headDim, down: intermediateSize };
      const columns = role === "output" || role === "down" ? widths[role] : hiddenSize;
      return roundTrip(values, columns, rounding);
    },
    readLayerBias: (layer, role) => weights.readLayerBias(layer, role),
    close: () => undefined,
  };
}

/** @param matrix row-major, changed in place */
function roundTrip(
  matrix: Float32Array,
  columns: number,
  { bits, blockSize, searches }: Rounding,
): Float32Array {
  for (let row = 0; row < matrix.length; row += columns) {
    for (let start = row; start < row + columns; start += blockSize) {
      const block = matrix.subarray(start, Math.min(start + blockSize, row + columns));
      if (bits === 8) round8(block);
      else round4(block, searches ? shares : [1]);
    }
  }
  return matrix;
}

function round8(block: Float32Array): void {
  let largest = 0;
  for (const value of block) largest = Math.max(largest, Math.abs(value));
  const scale = Math.fround(largest / 127);
  if (scale === 0) return;
  for (let i = 0; i < block.length; i++) block[i] = Math.floor(block[i]! / scale + 0.5) * scale;
}

function round4(block: Float32Array, tried: readonly number[]): void {
  let [low, high] = [0, 0];
  for (const value of block) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low === high) return;
  let best = { error: Infinity, scale: 1, zeroPoint: 0 };
  for (const share of tried) {
    const scale = Math.fround(((high - low) * share) / 15);
    const zeroPoint = Math.round((-low * share) / scale);
    let error = 0;
    for (const value of block) error += (rounded4(value, scale, zeroPoint) - value) ** 2;
    if (error < best.error) best = { error, scale, zeroPoint };
  }
  for (let i = 0; i < block.length; i++) {
    block[i] = rounded4(block[i]!, best.scale, best.zeroPoint);
  }
}

function rounded4(value: number, scale: number, zeroPoint: number): number {
  const quant = Math.min(15, Math.max(0, Math.floor(value / scale + zeroPoint + 0.5)));
  return (quant - zeroPoint) * scale;
}
