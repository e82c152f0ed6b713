/** Nearest distances of a prompt to the clusters of each task, and of none. All squared. */
export interface GroupDistances {
  readonly tasks: Float64Array;
  /** Infinite where there is no background. */
  readonly none: number;
}

/**
 * How unlike the tasks' prompts a prompt is, in distances to the nearest clusters: how much farther those of the
 * tasks lie than those of no task, plus half of how far they lie, minus half of how much farther the second task
 * lies. The first tells kinds of prompts that the background knows, the second those that nothing was fitted
 * with; the third spares prompts that are far from the usual but clearly nearer to one task than to all others.
 * The weights were chosen by measurement (docs/decisions/0010-rejection.md).
 */
export function strangenessOf({ tasks, none }: GroupDistances): number {
  const [nearest, second = nearest] = Array.from(tasks, Math.sqrt).sort((a, b) => a - b) as [
    number,
    number?,
  ];
  const ahead = none === Infinity ? 0 : nearest - Math.sqrt(none);
  return ahead + nearest / 2 - (second - nearest) / 2;
}

/** The value that `share` of the values lie above. */
export function upperQuantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const index = Math.ceil((1 - share) * sorted.length) - 1;
  return sorted[Math.max(index, 0)]!;
}

const candidates = Array.from({ length: 25 }, (_, i) => 2 ** (i / 3 - 2));

/**
 * What to divide squared distances by so that a softmax of their negatives gives probabilities that come true.
 * @param labels index of the own task
 */
export function fitTemperature(
  distances: readonly Float64Array[],
  labels: readonly number[],
): number {
  let [best, smallest] = [1, Infinity];
  for (const temperature of candidates) {
    let loss = 0;
    for (const [i, row] of distances.entries()) {
      const own = row[labels[i]!]!;
      let sum = 0;
      for (const distance of row) sum += Math.exp((own - distance) / temperature);
      loss += Math.log(sum);
    }
    if (loss < smallest) [best, smallest] = [temperature, loss];
  }
  return best;
}
