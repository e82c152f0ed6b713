export interface Clustering {
  /** Shape `[numClusters, numColumns]`. */
  readonly centroids: readonly Float64Array[];
  /** Cluster of each row. */
  readonly assignment: Int32Array;
  /** Sum of the squared distances to the own centroid. */
  readonly inertia: number;
}

const maxIterations = 50;
/** Starts, of which the best counts. */
const numStarts = 4;

/**
 * Lloyd's algorithm from k-means++ starts (Arthur and Vassilvitskii 2007). The same rows and seed give the
 * same clusters. Fewer than `numClusters` where there are fewer different rows.
 */
export function kMeans(
  rows: readonly Float64Array[],
  numClusters: number,
  seed: number,
): Clustering {
  const random = generator(seed);
  let best: Clustering | null = null;
  for (let start = 0; start < numStarts; start++) {
    const found = lloyd(rows, spread(rows, numClusters, random));
    if (best === null || found.inertia < best.inertia) best = found;
  }
  return best!;
}

/** Rows as first centroids, each the likelier the farther it is from those before. */
function spread(
  rows: readonly Float64Array[],
  numClusters: number,
  random: () => number,
): Float64Array[] {
  const centroids = [Float64Array.from(rows[Math.floor(random() * rows.length)]!)];
  const nearest = rows.map((row) => squaredDistance(row, centroids[0]!));
  while (centroids.length < numClusters) {
    const total = nearest.reduce((sum, distance) => sum + distance, 0);
    if (total === 0) break;
    let left = random() * total;
    let chosen = nearest.findIndex((distance) => (left -= distance) < 0);
    // Rounding may leave the sum a little short.
    if (chosen < 0) chosen = nearest.indexOf(Math.max(...nearest));
    const centroid = Float64Array.from(rows[chosen]!);
    centroids.push(centroid);
    for (const [i, row] of rows.entries()) {
      nearest[i] = Math.min(nearest[i]!, squaredDistance(row, centroid));
    }
  }
  return centroids;
}

function lloyd(rows: readonly Float64Array[], centroids: Float64Array[]): Clustering {
  const assignment = new Int32Array(rows.length).fill(-1);
  for (let iteration = 0; ; iteration++) {
    let inertia = 0;
    let hasMoved = false;
    for (const [i, row] of rows.entries()) {
      const { index, distance } = nearestCentroid(row, centroids);
      hasMoved ||= assignment[i] !== index;
      assignment[i] = index;
      inertia += distance;
    }
    if (!hasMoved || iteration === maxIterations) return { centroids, assignment, inertia };
    for (const [cluster, centroid] of centroids.entries()) {
      const members = rows.filter((_, i) => assignment[i] === cluster);
      // An empty cluster stays where it is.
      if (members.length > 0) centroid.set(meanOf(members));
    }
  }
}

/** The lowest index where several are as near. */
export function nearestCentroid(
  row: Float64Array,
  centroids: readonly Float64Array[],
): { readonly index: number; readonly distance: number } {
  let [index, distance] = [0, Infinity];
  for (const [i, centroid] of centroids.entries()) {
    const candidate = squaredDistance(row, centroid);
    if (candidate < distance) [index, distance] = [i, candidate];
  }
  return { index, distance };
}

export function squaredDistance(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

export function meanOf(rows: readonly Float64Array[]): Float64Array {
  const mean = new Float64Array(rows[0]!.length);
  for (const row of rows) for (let i = 0; i < mean.length; i++) mean[i]! += row[i]! / rows.length;
  return mean;
}

/** Numbers from 0 up to 1 that follow from the seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
