import test from "ava";
import {
  cholesky,
  invertCholesky,
  solveCholesky,
  subtractProduct,
} from "../../prune/linear-algebra.ts";
import { randomMatrix, seededRandom } from "../helpers/random-problem.ts";

/** X Xᵀ + I. */
function positiveDefinite(random: () => number, size: number): Float64Array {
  const x = randomMatrix(random, size * size);
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      let sum = i === j ? 1 : 0;
      for (let k = 0; k < size; k++) sum += x[i * size + k]! * x[j * size + k]!;
      matrix[i * size + j] = sum;
    }
  }
  return matrix;
}

function multiply(a: Float64Array, b: Float64Array, size: number): Float64Array {
  const result = new Float64Array(a.length);
  for (let i = 0; i < a.length / size; i++) {
    for (let j = 0; j < size; j++) {
      for (let k = 0; k < size; k++) result[i * size + j]! += a[i * size + k]! * b[k * size + j]!;
    }
  }
  return result;
}

const largestDifference = (a: Float64Array, b: Float64Array) =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);

test("the factor of [[4, 2], [2, 5]] is [[2, 0], [1, 2]]", (t) => {
  const matrix = Float64Array.of(4, 99, 2, 5);
  t.true(cholesky(matrix, 2));
  t.deepEqual([...matrix], [2, 99, 1, 2]);
});

// Sizes around the tiles of 4 and the panels of 64.
for (const size of [1, 3, 4, 5, 63, 64, 65, 130]) {
  test(`solving, inverting and factoring agree with multiplication at size ${size}`, (t) => {
    const random = seededRandom(size);
    const matrix = positiveDefinite(random, size);
    const factor = matrix.slice();
    t.true(cholesky(factor, size));

    const right = Float64Array.from(randomMatrix(random, 7 * size));
    const solution = right.slice();
    solveCholesky(factor, size, solution);
    t.true(largestDifference(multiply(solution, matrix, size), right) < 1e-10);

    const inverse = invertCholesky(factor, size);
    for (let i = 0; i < size; i++) {
      for (let j = i + 1; j < size; j++) {
        t.is(inverse[i * size + j], 0);
        inverse[i * size + j] = inverse[j * size + i]!;
      }
    }
    const identity = Float64Array.from({ length: size * size }, (_, at) =>
      at % (size + 1) ? 0 : 1,
    );
    t.true(largestDifference(multiply(inverse, matrix, size), identity) < 1e-10);
  });
}

test("a matrix that is not positive definite is refused", (t) => {
  t.false(cholesky(Float64Array.of(1, 2, 2, 1), 2));
  t.false(cholesky(Float64Array.of(0), 1));
  t.false(cholesky(Float64Array.of(NaN), 1));
  const large = positiveDefinite(seededRandom(1), 70);
  large[66 * 71] = -1;
  t.false(cholesky(large, 70));
});

test("a product is subtracted from the rows of a wider matrix", (t) => {
  const random = seededRandom(3);
  const [rows, columns, depth, stride] = [6, 5, 3, 9];
  const left = {
    data: Float64Array.from(randomMatrix(random, rows * depth)),
    rows,
    columns: depth,
  };
  const right = {
    data: Float64Array.from(randomMatrix(random, columns * depth)),
    rows: columns,
    columns: depth,
  };
  const target = new Float64Array(rows * stride);
  subtractProduct(target, stride, left, right);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < stride; j++) {
      let sum = 0;
      for (let k = 0; k < depth && j < columns; k++)
        sum -= left.data[i * depth + k]! * right.data[j * depth + k]!;
      t.true(Math.abs(target[i * stride + j]! - sum) < 1e-12);
    }
  }
});
