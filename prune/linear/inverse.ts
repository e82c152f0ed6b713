import { blockOf, inverseFactor, setBlock, transpose, zeros } from "./matrix.ts";
import type { Matrix } from "./matrix.ts";
import type { MatrixProducts } from "./matrix-products.ts";

/** Up to this size plain code is as fast as what products save. */
const PLAIN_SIZE = 64;

/**
 * Inverts a symmetric matrix.
 * @param matrix what is above the diagonal is not read
 * @returns null where it is not positive definite.
 */
export async function invertSymmetric(
  products: MatrixProducts,
  matrix: Matrix,
): Promise<Matrix | null> {
  const negative = await minusInverse(products, matrix);
  return negative && { ...negative, data: negative.data.map((value) => -value) };
}

/**
 * By halves, so that nearly all work is in large products. Of [[P, Qᵀ], [Q, R]], with B = Q P⁻¹ and
 * S = R - B Qᵀ, the inverse is [[P⁻¹ + Bᵀ S⁻¹ B, -Bᵀ S⁻¹], [-S⁻¹ B, S⁻¹]].
 */
async function minusInverse(products: MatrixProducts, matrix: Matrix): Promise<Matrix | null> {
  const size = matrix.rows;
  if (size <= PLAIN_SIZE) {
    const factor = inverseFactor(matrix);
    if (!factor) return null;
    const upper = transpose(factor);
    return products.subtract(upper, upper);
  }
  const half = Math.ceil(size / 2);
  const rest = size - half;
  const q = blockOf(matrix, [half, 0], [rest, half]);
  const r = blockOf(matrix, [half, half], [rest, rest]);
  const minusP = await minusInverse(products, blockOf(matrix, [0, 0], [half, half]));
  if (!minusP) return null;
  const b = await products.subtract(q, minusP);
  const minusS = await minusInverse(products, await products.subtract(b, q, r));
  if (!minusS) return null;
  const bTransposed = transpose(b);
  const corner = await products.subtract(minusS, bTransposed);
  const cornerTransposed = transpose(corner);
  const result = zeros(size, size);
  setBlock(result, [0, 0], await products.subtract(bTransposed, cornerTransposed, minusP));
  setBlock(result, [0, half], cornerTransposed);
  setBlock(result, [half, 0], corner);
  setBlock(result, [half, half], minusS);
  return result;
}
