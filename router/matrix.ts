/** Rows of the same length. */
export type Rows = readonly Float64Array[];

/** Lower triangles, each row as long as its diagonal asks for. */
export type LowerTriangle = readonly Float64Array[];

/**
 * The factor L of a positive definite matrix A = L Lᵀ.
 * @param matrix lower triangle, overwritten with L
 * @returns null when it is not positive definite
 */
export function cholesky(matrix: LowerTriangle): LowerTriangle | null {
  for (const [i, row] of matrix.entries()) {
    for (let j = 0; j <= i; j++) {
      const other = matrix[j]!;
      let sum = row[j]!;
      for (let k = 0; k < j; k++) sum -= row[k]! * other[k]!;
      if (j < i) row[j] = sum / other[j]!;
      else if (sum > 0) row[j] = Math.sqrt(sum);
      else return null;
    }
  }
  return matrix;
}

/** Solves L x = b. */
export function solveLower(lower: LowerTriangle, b: Float64Array): Float64Array {
  const x = Float64Array.from(b);
  for (const [i, row] of lower.entries()) {
    let sum = x[i]!;
    for (let k = 0; k < i; k++) sum -= row[k]! * x[k]!;
    x[i] = sum / row[i]!;
  }
  return x;
}

/** Solves Lᵀ x = b. */
export function solveLowerTransposed(lower: LowerTriangle, b: Float64Array): Float64Array {
  const x = Float64Array.from(b);
  for (let i = lower.length - 1; i >= 0; i--) {
    const row = lower[i]!;
    const value = x[i]! / row[i]!;
    x[i] = value;
    for (let k = 0; k < i; k++) x[k]! -= value * row[k]!;
  }
  return x;
}

/**
 * Directions of the largest spread around zero, orthonormal, at most `count`, by falling spread: right singular
 * vectors of the rows. Directions without any spread are left out.
 */
export function principalDirections(rows: Rows, count: number): Float64Array[] {
  const size = rows[0]?.length ?? 0;
  const numRows = rows.length;
  // Of the smaller of the two Gram matrices.
  if (numRows < size) {
    const gram = rows.map((a) => Float64Array.from(rows, (b) => dot(a, b)));
    return leading(symmetricEigen(gram), count).map(({ value, vector }) => {
      const direction = new Float64Array(size);
      for (const [i, row] of rows.entries()) {
        const share = vector[i]! / Math.sqrt(value);
        for (let k = 0; k < size; k++) direction[k]! += share * row[k]!;
      }
      return direction;
    });
  }
  const gram = Array.from({ length: size }, () => new Float64Array(size));
  for (const row of rows) {
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) gram[i]![j]! += row[i]! * row[j]!;
    }
  }
  return leading(symmetricEigen(gram), count).map(({ vector }) => vector);
}

interface EigenPair {
  readonly value: number;
  readonly vector: Float64Array;
}

/** Relative to the largest: below it, a value is rounding. */
const smallestShare = 1e-10;

function leading(pairs: EigenPair[], count: number): EigenPair[] {
  const sorted = pairs.sort((a, b) => b.value - a.value).slice(0, count);
  return sorted.filter(({ value }) => value > 0 && value > smallestShare * sorted[0]!.value);
}

const maxSweeps = 30;

/** Jacobi's method, cyclic. @param matrix symmetric, overwritten */
function symmetricEigen(matrix: Float64Array[]): EigenPair[] {
  const size = matrix.length;
  // Rows of `vectors` become the eigenvectors.
  const vectors = matrix.map((_, i) => Float64Array.from({ length: size }, (_, j) => +(i === j)));
  for (let sweep = 0; sweep < maxSweeps; sweep++) {
    let [off, all] = [0, 0];
    for (const [i, row] of matrix.entries()) {
      for (const [j, value] of row.entries()) {
        all += value * value;
        if (i !== j) off += value * value;
      }
    }
    if (off <= 1e-22 * all) break;
    for (let p = 0; p < size; p++) for (let q = p + 1; q < size; q++) rotate(matrix, vectors, p, q);
  }
  return vectors.map((vector, i) => ({ value: matrix[i]![i]!, vector }));
}

/** Makes one pair of entries zero. Golub and Van Loan, Matrix Computations, algorithm 8.5.1. */
function rotate(matrix: Float64Array[], vectors: Float64Array[], p: number, q: number): void {
  const [rowP, rowQ] = [matrix[p]!, matrix[q]!];
  if (rowP[q] === 0) return;
  const tau = (rowQ[q]! - rowP[p]!) / (2 * rowP[q]!);
  const t = (tau >= 0 ? 1 : -1) / (Math.abs(tau) + Math.sqrt(1 + tau * tau));
  const c = 1 / Math.sqrt(1 + t * t);
  const s = t * c;
  for (const row of matrix) {
    const [a, b] = [row[p]!, row[q]!];
    row[p] = c * a - s * b;
    row[q] = s * a + c * b;
  }
  for (const [a, b] of [
    [rowP, rowQ],
    [vectors[p]!, vectors[q]!],
  ] as const) {
    for (let k = 0; k < a.length; k++) {
      const [x, y] = [a[k]!, b[k]!];
      a[k] = c * x - s * y;
      b[k] = s * x + c * y;
    }
  }
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
