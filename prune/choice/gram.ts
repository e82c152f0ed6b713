import { invertSymmetric } from "../linear/inverse.ts";
import { zeros } from "../linear/matrix.ts";
import type { Matrix } from "../linear/matrix.ts";
import type { MatrixProducts } from "../linear/matrix-products.ts";
import type { Comoment } from "../calibration/statistics.ts";

/** Largest damping that is tried, as a fraction of the typical variance. */
const MAX_RIDGE = 1;

export interface DampedInverse {
  /** (G + damping I)⁻¹ */
  readonly inverse: Matrix;
  /** What was added to the diagonal. */
  readonly damping: number;
}

/** Element (i, j) of the centred Gram matrix. */
export function gramElement({ matrix }: Comoment, i: number, j: number): number {
  return i >= j ? matrix[(i * (i + 1)) / 2 + j]! : matrix[(j * (j + 1)) / 2 + i]!;
}

/**
 * The median of the Gram matrix's diagonal, without dimensions that never vary; 0 when none does. Not the mean: in
 * the layer that makes a model's massive activations a single channel is worth a thousand others.
 */
export function typicalDiagonal({ matrix, mean }: Comoment): number {
  const diagonal = Float64Array.from(mean, (_, i) => matrix[(i * (i + 3)) / 2]!);
  const varying = diagonal.filter((value) => value > 0).sort();
  return varying[Math.floor(varying.length / 2)] ?? 0;
}

/**
 * Inverts the Gram matrix of some dimensions, damped by a fraction of the {@link typicalDiagonal} of all; where
 * that is not positive definite, with ten times the damping, up to the typical diagonal itself.
 * @param indices ascending
 * @returns null where the matrix has no positive definite form, as for inputs that never vary.
 */
export async function invertGram(
  products: MatrixProducts,
  comoment: Comoment,
  indices: readonly number[],
  ridge: number,
): Promise<DampedInverse | null> {
  const diagonal = typicalDiagonal(comoment);
  if (!(diagonal > 0 && diagonal < Infinity)) return null;
  for (let fraction = ridge; ; fraction = Math.min(MAX_RIDGE, fraction * 10)) {
    const damping = fraction * diagonal;
    const damped = zeros(indices.length, indices.length);
    for (let i = 0; i < indices.length; i++) {
      const row = i * indices.length;
      for (let j = 0; j <= i; j++) {
        damped.data[row + j] = gramElement(comoment, indices[i]!, indices[j]!);
      }
      damped.data[row + i]! += damping;
    }
    const inverse = await invertSymmetric(products, damped);
    if (inverse) return { inverse, damping };
    if (fraction >= MAX_RIDGE) return null;
    if (fraction === 0) fraction = 1e-6;
  }
}
