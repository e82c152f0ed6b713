/** Columns that are finished for all rows before the next: their rows of the factor stay in the cache. */
const PANEL_SIZE = 64;

/**
 * Factors a symmetric matrix A = L Lᵀ in place, in double precision.
 * @param matrix shape `[size, size]`, row-major; the lower triangle is read and becomes L, the rest is left
 * @returns whether A is positive definite; if not, the matrix is spoilt.
 */
export function cholesky(matrix: Float64Array, size: number): boolean {
  for (let panel = 0; panel < size; panel += PANEL_SIZE) {
    const panelEnd = Math.min(panel + PANEL_SIZE, size);
    for (let row = panel; row < size; row += 4) {
      const rowEnd = Math.min(row + 4, size);
      for (let column = panel; column < Math.min(panelEnd, rowEnd); column += 4) {
        const columnEnd = Math.min(column + 4, panelEnd);
        subtractDots(matrix, row, rowEnd, matrix, column, columnEnd, size, 0, column);
        if (column < row) solveTile(matrix, row, rowEnd, matrix, column, columnEnd, size);
        else if (!factorTile(matrix, row, rowEnd, size)) return false;
      }
    }
  }
  return true;
}

/**
 * Solves X Lᵀ = B in place.
 * @param factor L, lower triangle of `[size, size]`
 * @param rows B, becomes X. Shape `[rows.length / size, size]`
 */
export function solveLowerTransposed(factor: Float64Array, size: number, rows: Float64Array): void {
  const numRows = rows.length / size;
  for (let panel = 0; panel < size; panel += PANEL_SIZE) {
    const panelEnd = Math.min(panel + PANEL_SIZE, size);
    for (let row = 0; row < numRows; row += 4) {
      const rowEnd = Math.min(row + 4, numRows);
      for (let column = panel; column < panelEnd; column += 4) {
        const columnEnd = Math.min(column + 4, panelEnd);
        subtractDots(rows, row, rowEnd, factor, column, columnEnd, size, 0, column);
        solveTile(rows, row, rowEnd, factor, column, columnEnd, size);
      }
    }
  }
}

/**
 * Solves X L Lᵀ = B, which is X A = B, in place.
 * @param factor L of {@link cholesky}; kept
 * @param rows B, becomes X. Shape `[rows.length / size, size]`
 */
export function solveCholesky(factor: Float64Array, size: number, rows: Float64Array): void {
  solveLowerTransposed(factor, size, rows);
  // X L = B with all indices in descending order is a system with a lower triangle on the right again.
  const reversed = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    const column = size - 1 - i;
    for (let j = 0; j <= i; j++) reversed[i * size + j] = factor[(size - 1 - j) * size + column]!;
  }
  reverseRows(rows, size);
  solveLowerTransposed(reversed, size, rows);
  reverseRows(rows, size);
}

/**
 * A⁻¹ from the factor of A.
 * @param factor L of {@link cholesky}; kept
 * @returns lower triangle of `[size, size]`; the rest is 0.
 */
export function invertCholesky(factor: Float64Array, size: number): Float64Array {
  // Row i of U is column i of L⁻¹: zero before i.
  const upper = new Float64Array(size * size);
  for (let i = 0; i < size; i++) upper[i * size + i] = 1;
  for (let panel = 0; panel < size; panel += PANEL_SIZE) {
    const panelEnd = Math.min(panel + PANEL_SIZE, size);
    for (let row = 0; row < panelEnd; row += 4) {
      const rowEnd = Math.min(row + 4, size);
      for (let column = Math.max(row, panel); column < panelEnd; column += 4) {
        const columnEnd = Math.min(column + 4, panelEnd);
        subtractDots(upper, row, rowEnd, factor, column, columnEnd, size, row, column);
        solveTile(upper, row, rowEnd, factor, column, columnEnd, size);
      }
    }
  }
  // A⁻¹ = U Uᵀ
  const inverse = new Float64Array(size * size);
  for (let panel = 0; panel < size; panel += PANEL_SIZE) {
    const panelEnd = Math.min(panel + PANEL_SIZE, size);
    for (let row = panel; row < size; row += 4) {
      const rowEnd = Math.min(row + 4, size);
      for (let column = panel; column < Math.min(panelEnd, rowEnd); column += 4) {
        const columnEnd = Math.min(column + 4, panelEnd);
        multiplyTile(inverse, upper, row, rowEnd, column, columnEnd, size);
      }
    }
  }
  return inverse;
}

/** A matrix whose rows lie `columns` apart. */
export interface DenseMatrix {
  readonly data: Float64Array;
  readonly rows: number;
  readonly columns: number;
}

/**
 * target -= left rightᵀ; the rows of `target` lie `stride` apart.
 * @param lowerOnly leaves out tiles above the diagonal
 */
export function subtractProduct(
  target: Float64Array,
  stride: number,
  left: DenseMatrix,
  right: DenseMatrix,
  lowerOnly = false,
): void {
  const depth = left.columns;
  for (let row = 0; row < left.rows; row += 4) {
    const rowEnd = Math.min(row + 4, left.rows);
    const end = lowerOnly ? Math.min(right.rows, rowEnd) : right.rows;
    for (let column = 0; column < end; column += 4) {
      if (rowEnd - row === 4 && column + 4 <= right.rows) {
        const at = row * stride + column;
        addDots4x4(
          target,
          at,
          stride,
          -1,
          left.data,
          row * depth,
          right.data,
          column * depth,
          depth,
          0,
          depth,
        );
        continue;
      }
      const columnEnd = Math.min(column + 4, right.rows);
      for (let i = row; i < rowEnd; i++) {
        for (let j = column; j < columnEnd; j++) {
          let sum = 0;
          for (let k = 0; k < depth; k++) {
            sum += left.data[i * depth + k]! * right.data[j * depth + k]!;
          }
          target[i * stride + j]! -= sum;
        }
      }
    }
  }
}

/** target[i, j] -= sum over k in [from, to) of target[i, k] * factor[j, k]; up to 4 rows and 4 columns. */
function subtractDots(
  target: Float64Array,
  row: number,
  rowEnd: number,
  factor: Float64Array,
  column: number,
  columnEnd: number,
  size: number,
  from: number,
  to: number,
): void {
  if (rowEnd - row === 4 && columnEnd - column === 4) {
    const at = row * size + column;
    addDots4x4(target, at, size, -1, target, row * size, factor, column * size, size, from, to);
    return;
  }
  for (let i = row; i < rowEnd; i++) {
    for (let j = column; j < columnEnd; j++) {
      let sum = 0;
      for (let k = from; k < to; k++) sum += target[i * size + k]! * factor[j * size + k]!;
      target[i * size + j]! -= sum;
    }
  }
}

/** target[i, j], 0 before, = dot of rows i and j of `upper`, which are zero before i >= j. */
function multiplyTile(
  target: Float64Array,
  upper: Float64Array,
  row: number,
  rowEnd: number,
  column: number,
  columnEnd: number,
  size: number,
): void {
  if (rowEnd - row === 4 && columnEnd - column === 4 && column < row) {
    const at = row * size + column;
    addDots4x4(target, at, size, 1, upper, row * size, upper, column * size, size, row, size);
    return;
  }
  for (let i = row; i < rowEnd; i++) {
    for (let j = column; j < columnEnd && j <= i; j++) {
      let sum = 0;
      for (let k = i; k < size; k++) sum += upper[i * size + k]! * upper[j * size + k]!;
      target[i * size + j] = sum;
    }
  }
}

/** Finishes a tile of X Lᵀ = B whose earlier columns are already subtracted. */
function solveTile(
  target: Float64Array,
  row: number,
  rowEnd: number,
  factor: Float64Array,
  column: number,
  columnEnd: number,
  size: number,
): void {
  for (let i = row; i < rowEnd; i++) {
    for (let j = column; j < columnEnd; j++) {
      let value = target[i * size + j]!;
      for (let k = column; k < j; k++) value -= target[i * size + k]! * factor[j * size + k]!;
      target[i * size + j] = value / factor[j * size + j]!;
    }
  }
}

/** Factors a tile on the diagonal. @returns false when a pivot is not positive. */
function factorTile(matrix: Float64Array, row: number, rowEnd: number, size: number): boolean {
  for (let i = row; i < rowEnd; i++) {
    for (let j = row; j <= i; j++) {
      let value = matrix[i * size + j]!;
      for (let k = row; k < j; k++) value -= matrix[i * size + k]! * matrix[j * size + k]!;
      if (j < i) matrix[i * size + j] = value / matrix[j * size + j]!;
      else if (value > 0 && value < Infinity) matrix[i * size + i] = Math.sqrt(value);
      else return false;
    }
  }
  return true;
}

/**
 * Adds `sign` times the dots of four rows of `a` with four of `b` over k in [from, to) to a tile: eight loads for
 * sixteen products.
 */
function addDots4x4(
  target: Float64Array,
  at: number,
  targetStride: number,
  sign: 1 | -1,
  a: Float64Array,
  aStart: number,
  b: Float64Array,
  bStart: number,
  stride: number,
  from: number,
  to: number,
): void {
  let [s00, s01, s02, s03, s10, s11, s12, s13] = [0, 0, 0, 0, 0, 0, 0, 0];
  let [s20, s21, s22, s23, s30, s31, s32, s33] = [0, 0, 0, 0, 0, 0, 0, 0];
  const a1 = aStart + stride;
  const a2 = a1 + stride;
  const a3 = a2 + stride;
  const b1 = bStart + stride;
  const b2 = b1 + stride;
  const b3 = b2 + stride;
  for (let k = from; k < to; k++) {
    const x0 = a[aStart + k]!;
    const x1 = a[a1 + k]!;
    const x2 = a[a2 + k]!;
    const x3 = a[a3 + k]!;
    const y0 = b[bStart + k]!;
    const y1 = b[b1 + k]!;
    const y2 = b[b2 + k]!;
    const y3 = b[b3 + k]!;
    s00 += x0 * y0;
    s01 += x0 * y1;
    s02 += x0 * y2;
    s03 += x0 * y3;
    s10 += x1 * y0;
    s11 += x1 * y1;
    s12 += x1 * y2;
    s13 += x1 * y3;
    s20 += x2 * y0;
    s21 += x2 * y1;
    s22 += x2 * y2;
    s23 += x2 * y3;
    s30 += x3 * y0;
    s31 += x3 * y1;
    s32 += x3 * y2;
    s33 += x3 * y3;
  }
  target[at]! += sign * s00;
  target[at + 1]! += sign * s01;
  target[at + 2]! += sign * s02;
  target[at + 3]! += sign * s03;
  const at1 = at + targetStride;
  target[at1]! += sign * s10;
  target[at1 + 1]! += sign * s11;
  target[at1 + 2]! += sign * s12;
  target[at1 + 3]! += sign * s13;
  const at2 = at + 2 * targetStride;
  target[at2]! += sign * s20;
  target[at2 + 1]! += sign * s21;
  target[at2 + 2]! += sign * s22;
  target[at2 + 3]! += sign * s23;
  const at3 = at + 3 * targetStride;
  target[at3]! += sign * s30;
  target[at3 + 1]! += sign * s31;
  target[at3 + 2]! += sign * s32;
  target[at3 + 3]! += sign * s33;
}

function reverseRows(rows: Float64Array, size: number): void {
  for (let start = 0; start < rows.length; start += size) {
    rows.subarray(start, start + size).reverse();
  }
}
