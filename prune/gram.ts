import { cholesky } from "./linear-algebra.ts";
import type { Comoment } from "./statistics.ts";

/** Largest damping that is tried, as a fraction of the mean diagonal. */
const MAX_RIDGE = 1;

export interface DampedFactor {
  /** L of G + damping I = L Lᵀ, lower triangle of `[size, size]`. */
  readonly factor: Float64Array;
  /** What was added to the diagonal. */
  readonly damping: number;
}

/** Element (i, j) of the centred Gram matrix. */
export function gramElement({ matrix }: Comoment, i: number, j: number): number {
  return i >= j ? matrix[(i * (i + 1)) / 2 + j]! : matrix[(j * (j + 1)) / 2 + i]!;
}

export function meanDiagonal({ matrix, mean }: Comoment): number {
  let sum = 0;
  for (let i = 0; i < mean.length; i++) sum += matrix[(i * (i + 3)) / 2]!;
  return sum / mean.length;
}

/**
 * Factors the Gram matrix of some dimensions, damped by a fraction of the mean diagonal of all; where that is
 * not positive definite, with ten times the damping, up to the mean diagonal itself.
 * @param indices ascending
 * @returns null where the matrix has no positive definite form, as for inputs that never vary.
 */
export function factorGram(
  comoment: Comoment,
  indices: readonly number[],
  ridge: number,
): DampedFactor | null {
  const diagonal = meanDiagonal(comoment);
  if (!(diagonal > 0 && diagonal < Infinity)) return null;
  const size = indices.length;
  for (let fraction = ridge; ; fraction = Math.min(MAX_RIDGE, fraction * 10)) {
    const damping = fraction * diagonal;
    const factor = new Float64Array(size * size);
    for (let i = 0; i < size; i++) {
      const start = (indices[i]! * (indices[i]! + 1)) / 2;
      for (let j = 0; j <= i; j++) factor[i * size + j] = comoment.matrix[start + indices[j]!]!;
      factor[i * size + i]! += damping;
    }
    if (cholesky(factor, size)) return { factor, damping };
    if (fraction >= MAX_RIDGE) return null;
    if (fraction === 0) fraction = 1e-6;
  }
}
