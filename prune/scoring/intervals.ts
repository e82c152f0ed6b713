/** A measured value with its 95 % confidence interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** 97.5 % quantile of the normal distribution. */
const z = 1.959964;
const numResamples = 2000;
const bootstrapSeed = 20250301;

/** Share of successes with Wilson's score interval. @param outcomes 0 or 1 each, not empty */
export function wilson(outcomes: ArrayLike<number>): Estimate {
  const n = outcomes.length;
  const value = sum(outcomes) / n;
  const centre = (value + z ** 2 / (2 * n)) / (1 + z ** 2 / n);
  const half =
    (z / (1 + z ** 2 / n)) * Math.sqrt((value * (1 - value)) / n + z ** 2 / (4 * n ** 2));
  return { value, low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/**
 * Sum of `numerators` over sum of `denominators` with a percentile bootstrap over the rows. The same rows are drawn
 * each time, so the intervals of two models' differences are paired when their difference by row is the numerator.
 * @param denominators not all 0
 */
export function bootstrapRatio(
  numerators: ArrayLike<number>,
  denominators: ArrayLike<number>,
): Estimate {
  const n = numerators.length;
  const random = splitmix32(bootstrapSeed);
  const resampled = Float64Array.from({ length: numResamples }, () => {
    let [above, below] = [0, 0];
    for (let i = 0; i < n; i++) {
      const row = Math.floor(random() * n);
      above += numerators[row]!;
      below += denominators[row]!;
    }
    return above / below;
  }).sort();
  const value = sum(numerators) / sum(denominators);
  const quantile = (share: number): number => resampled[Math.round(share * (numResamples - 1))]!;
  return { value, low: quantile(0.025), high: quantile(0.975) };
}

/** Mean difference `values - baseline` of the same rows, by a paired bootstrap. */
export function pairedDifference(values: Float64Array, baseline: Float64Array): Estimate {
  const differences = values.map((value, row) => value - baseline[row]!);
  return bootstrapRatio(differences, new Float64Array(values.length).fill(1));
}

/** Mean of independent estimates: half-widths add up as standard errors do. @param estimates not empty */
export function meanEstimate(estimates: readonly Estimate[]): Estimate {
  const n = estimates.length;
  const root = (halfWidth: (estimate: Estimate) => number): number =>
    Math.sqrt(estimates.reduce((total, estimate) => total + halfWidth(estimate) ** 2, 0)) / n;
  const value = estimates.reduce((total, estimate) => total + estimate.value, 0) / n;
  return {
    value,
    low: value - root((estimate) => estimate.value - estimate.low),
    high: value + root((estimate) => estimate.high - estimate.value),
  };
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

/** Numbers from 0 to below 1, the same for the same seed. */
function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let bits = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
  };
}
