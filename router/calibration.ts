/** Nearest distances of a prompt to the clusters of each task, and of none. All squared. */
export interface GroupDistances {
  readonly tasks: Float64Array;
  /** Infinite where there is no background. */
  readonly none: number;
}

/** Nearer is as near as can be. */
const smallestDistance = 1e-12;

/**
 * How unlike the tasks' prompts a prompt is: the logarithm of its distance from them, and of how many times nearer
 * than they prompts of no task are. The first tells prompts of no kind, the second prompts of another kind; as
 * logarithms, they mean the same for tasks whose prompts lie close together and for broad ones.
 */
export function strangenessOf({ tasks, none }: GroupDistances): number {
  const nearest = tasks.reduce((a, b) => Math.min(a, b), Infinity);
  const distance = Math.log(Math.max(nearest, smallestDistance));
  if (none === Infinity) return distance;
  return 2 * distance - Math.log(Math.max(none, smallestDistance));
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
