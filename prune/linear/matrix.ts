/** A matrix in double precision, row-major. */
export interface Matrix {
  readonly data: Float64Array;
  readonly rows: number;
  readonly columns: number;
}

export function zeros(rows: number, columns: number): Matrix {
  return { data: new Float64Array(rows * columns), rows, columns };
}

/** Rows from `first` to before `end`: a view. */
export function rowsOf({ data, columns }: Matrix, first: number, end: number): Matrix {
  return { data: data.subarray(first * columns, end * columns), rows: end - first, columns };
}

/** A copy of some rows, in the order given. */
export function takeRows({ data, columns }: Matrix, indices: readonly number[]): Matrix {
  const result = new Float64Array(indices.length * columns);
  for (const [at, row] of indices.entries()) {
    result.set(data.subarray(row * columns, (row + 1) * columns), at * columns);
  }
  return { data: result, rows: indices.length, columns };
}

/** A copy of some rows and columns. */
export function blockOf(
  { data, columns: stride }: Matrix,
  [firstRow, firstColumn]: readonly [number, number],
  [rows, columns]: readonly [number, number],
): Matrix {
  const result = zeros(rows, columns);
  for (let row = 0; row < rows; row++) {
    const start = (firstRow + row) * stride + firstColumn;
    result.data.set(data.subarray(start, start + columns), row * columns);
  }
  return result;
}

/** Copies a matrix into a larger one. */
export function setBlock(
  target: Matrix,
  [firstRow, firstColumn]: readonly [number, number],
  { data, rows, columns }: Matrix,
): void {
  for (let row = 0; row < rows; row++) {
    const start = (firstRow + row) * target.columns + firstColumn;
    target.data.set(data.subarray(row * columns, (row + 1) * columns), start);
  }
}

export function transpose({ data, rows, columns }: Matrix): Matrix {
  const result = new Float64Array(data.length);
  for (let i = 0, at = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, at++) result[j * rows + i] = data[at]!;
  }
  return { data: result, rows: columns, columns: rows };
}

/**
 * L⁻¹, a lower triangle, of a small symmetric matrix A = L Lᵀ.
 * @param symmetric A; what is above the diagonal is not read
 * @returns null where A is not positive definite.
 */
export function inverseFactor({ data, rows: size }: Matrix): Matrix | null {
  const factor = data.slice();
  // L⁻ᵀ, so that all sums are over pieces of rows.
  const upper = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    const row = i * size;
    for (let j = 0; j < i; j++) {
      const value = factor[row + j]! - dot(factor, row, factor, j * size, j);
      factor[row + j] = value / factor[j * (size + 1)]!;
    }
    const pivot = factor[row + i]! - dot(factor, row, factor, row, i);
    if (!(pivot > 0 && pivot < Infinity)) return null;
    const root = Math.sqrt(pivot);
    factor[row + i] = root;
    upper[row + i] = 1 / root;
    for (let j = 0; j < i; j++) {
      upper[j * size + i] = -dot(factor, row + j, upper, j * (size + 1), i - j) / root;
    }
  }
  return transpose({ data: upper, rows: size, columns: size });
}

/** Of `length` elements each, in four sums that do not wait for each other. */
function dot(
  a: Float64Array,
  aStart: number,
  b: Float64Array,
  bStart: number,
  length: number,
): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let k = 0;
  for (; k + 4 <= length; k += 4) {
    s0 += a[aStart + k]! * b[bStart + k]!;
    s1 += a[aStart + k + 1]! * b[bStart + k + 1]!;
    s2 += a[aStart + k + 2]! * b[bStart + k + 2]!;
    s3 += a[aStart + k + 3]! * b[bStart + k + 3]!;
  }
  for (; k < length; k++) s0 += a[aStart + k]! * b[bStart + k]!;
  return s0 + s1 + s2 + s3;
}
