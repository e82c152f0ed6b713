import { RouterError } from "./errors.ts";
import { cholesky, dot, principalDirections, solveLower, solveLowerTransposed } from "./matrix.ts";

/** A map to few dimensions: `matrix · (features − center)`. */
export interface Projection {
  /** Shape `[numFeatures]`. */
  readonly center: Float64Array;
  /** Shape `[numDimensions, numFeatures]`. */
  readonly matrix: readonly Float64Array[];
}

export function project({ center, matrix }: Projection, features: Float32Array): Float64Array {
  const centered = center.map((value, i) => features[i]! - value);
  return Float64Array.from(matrix, (direction) => dot(direction, centered));
}

/**
 * Fisher's linear discriminants: the space in which groups lie apart and, within each, rows spread alike in all
 * directions, one dimension fewer than there are groups. The covariance within groups is shrunk towards a
 * multiple of the identity, the more the fewer rows there are.
 * @throws RouterError when the features of all groups are the same.
 */
export function fitDiscriminant(groups: readonly (readonly Float32Array[])[]): Projection {
  const rows = groups.flat();
  const size = rows[0]!.length;
  const { mean, deviation } = moments(rows);
  const standardized = groups.map((group) =>
    group.map((row) => mean.map((value, i) => (row[i]! - value) / deviation[i]!)),
  );
  const centers = standardized.map((group) => average(group));
  const shrinkage = size / (size + rows.length);
  const lower = withinCovariance(standardized, centers, shrinkage);
  const factor = cholesky(lower);
  if (factor === null) throw new RouterError("The features of all prompts are the same.");
  const middle = average(centers);
  const whitened = centers.map((center) =>
    solveLower(
      factor,
      center.map((value, i) => value - middle[i]!),
    ),
  );
  const directions = principalDirections(whitened, groups.length - 1);
  if (directions.length === 0) throw new RouterError("The features of all tasks are the same.");
  return {
    center: middle.map((value, i) => mean[i]! + value * deviation[i]!),
    matrix: directions.map((direction) =>
      solveLowerTransposed(factor, direction).map((value, i) => value / deviation[i]!),
    ),
  };
}

/** Lower triangle. */
function withinCovariance(
  groups: readonly (readonly Float64Array[])[],
  centers: readonly Float64Array[],
  shrinkage: number,
): Float64Array[] {
  const size = centers[0]!.length;
  const rows = groups.flatMap((group, index) =>
    group.map((row) => row.map((value, i) => value - centers[index]![i]!)),
  );
  const sums = Array.from({ length: size }, (_, i) => new Float64Array(i + 1));
  // Four at a time: what takes time is reading and writing the sums.
  const nothing = new Float64Array(size);
  for (let start = 0; start < rows.length; start += 4) {
    const a = rows[start]!;
    const [b = nothing, c = nothing, d = nothing] = rows.slice(start + 1, start + 4);
    for (let i = 0; i < size; i++) {
      const sum = sums[i]!;
      const [ai, bi, ci, di] = [a[i]!, b[i]!, c[i]!, d[i]!];
      for (let j = 0; j <= i; j++) sum[j]! += ai * a[j]! + bi * b[j]! + ci * c[j]! + di * d[j]!;
    }
  }
  let trace = 0;
  for (let i = 0; i < size; i++) trace += sums[i]![i]! / rows.length;
  for (const [i, sum] of sums.entries()) {
    for (let j = 0; j <= i; j++) sum[j]! *= (1 - shrinkage) / rows.length;
    sum[i]! += (shrinkage * trace) / size;
  }
  return sums;
}

/** Deviations of constant features are 1. */
export function moments(rows: readonly Float32Array[]): {
  readonly mean: Float64Array;
  readonly deviation: Float64Array;
} {
  const mean = average(rows);
  const variance = new Float64Array(mean.length);
  for (const row of rows) {
    for (let i = 0; i < mean.length; i++) variance[i]! += (row[i]! - mean[i]!) ** 2 / rows.length;
  }
  return { mean, deviation: variance.map((value) => (value > 1e-12 ? Math.sqrt(value) : 1)) };
}

function average(rows: readonly (Float32Array | Float64Array)[]): Float64Array {
  const mean = new Float64Array(rows[0]!.length);
  for (const row of rows) for (let i = 0; i < mean.length; i++) mean[i]! += row[i]! / rows.length;
  return mean;
}
