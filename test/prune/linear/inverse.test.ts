import test from "ava";
import { invertSymmetric } from "../../../prune/linear/inverse.ts";
import { zeros } from "../../../prune/linear/matrix.ts";
import type { Matrix } from "../../../prune/linear/matrix.ts";
import { withMatrixProducts } from "../../../prune/linear/matrix-products.ts";
import { randomMatrix, seededRandom } from "../../helpers/random-problem.ts";

/** X Xᵀ + I; above the diagonal there is nonsense. */
function positiveDefinite(size: number): Matrix {
  const x = randomMatrix(seededRandom(size), size * size);
  const matrix = zeros(size, size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      let sum = i === j ? 1 : 0;
      for (let k = 0; k < size; k++) sum += x[i * size + k]! * x[j * size + k]!;
      matrix.data[i * size + j] = j <= i ? sum : 1e6;
    }
  }
  return matrix;
}

const invert = (matrix: Matrix) =>
  withMatrixProducts((products) => invertSymmetric(products, matrix));

// Sizes around 64, up to which there are no halves, and with halves of halves that differ.
for (const size of [1, 2, 63, 64, 65, 131, 259]) {
  test(`the inverse times the matrix is the identity at size ${size}`, async (t) => {
    const matrix = positiveDefinite(size);
    const inverse = (await invert(matrix))!;
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        let sum = i === j ? -1 : 0;
        for (let k = 0; k < size; k++) {
          const element = matrix.data[k >= j ? k * size + j : j * size + k]!;
          sum += inverse.data[i * size + k]! * element;
        }
        if (Math.abs(sum) > 1e-9) t.fail(`${i}, ${j} is off by ${sum}`);
      }
    }
    t.pass();
  });
}

test("a matrix that is not positive definite has no inverse, wherever that shows", async (t) => {
  for (const place of [0, 40, 69]) {
    const matrix = positiveDefinite(70);
    matrix.data[place * 71] = -1;
    t.is(await invert(matrix), null);
  }
  t.is(await invert({ data: Float64Array.of(1, 2, 2, 1), rows: 2, columns: 2 }), null);
});
