import { ModuleStatistics } from "../../prune/calibration/statistics.ts";
import type { BatchSums, Comoment } from "../../prune/calibration/statistics.ts";

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function randomMatrix(random: () => number, length: number): Float32Array {
  return Float32Array.from({ length }, () => 2 * random() - 1);
}

/** Inputs with means, of different sizes and correlated. Shape `[numTokens, size]`. */
export function randomInputs(random: () => number, numTokens: number, size: number): Float64Array {
  const numFactors = Math.max(1, Math.floor(size / 3));
  const mixing = randomMatrix(random, numFactors * size);
  const scales = Array.from({ length: size }, () => Math.exp(2 * random() - 1));
  const means = randomMatrix(random, size);
  const inputs = new Float64Array(numTokens * size);
  for (let token = 0; token < numTokens; token++) {
    const factors = randomMatrix(random, numFactors);
    for (let j = 0; j < size; j++) {
      const shared = factors.reduce((sum, value, k) => sum + value * mixing[k * size + j]!, 0);
      inputs[token * size + j] = scales[j]! * (means[j]! + shared + 0.5 * (2 * random() - 1));
    }
  }
  return inputs;
}

/** The sums that a graph would give for a batch, with weights for the second moments. */
export function sumsOf(inputs: Float64Array, weights: ArrayLike<number>): BatchSums {
  const count = weights.length;
  const size = inputs.length / count;
  const sum = new Float64Array(size);
  const sumOfSquares = new Float64Array(size);
  const weightedSum = new Float64Array(size);
  const outer = new Float64Array(size * size);
  let weight = 0;
  for (let token = 0; token < count; token++) {
    const x = inputs.subarray(token * size, (token + 1) * size);
    const w = weights[token]!;
    weight += w;
    for (let i = 0; i < size; i++) {
      sum[i]! += x[i]!;
      sumOfSquares[i]! += x[i]! ** 2;
      weightedSum[i]! += w * x[i]!;
      for (let j = 0; j < size; j++) outer[i * size + j]! += w * x[i]! * x[j]!;
    }
  }
  return { count, sum, sumOfSquares, weighted: { weight, sum: weightedSum, outer } };
}

export function comomentOf(inputs: Float64Array, weights: ArrayLike<number>): Comoment {
  const size = inputs.length / weights.length;
  const statistics = ModuleStatistics.empty(size, { withComoment: true });
  statistics.addBatch(sumsOf(inputs, weights));
  return statistics.comoment!;
}
