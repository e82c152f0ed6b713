import test from "ava";
import { CalibrationError } from "../../../prune/errors.ts";
import { rowsOf, zeros } from "../../../prune/linear/matrix.ts";
import type { Matrix } from "../../../prune/linear/matrix.ts";
import { withMatrixProducts } from "../../../prune/linear/matrix-products.ts";
import { randomMatrix, seededRandom } from "../../helpers/random-problem.ts";

function random(seed: number, rows: number, columns: number): Matrix {
  const data = Float64Array.from(randomMatrix(seededRandom(seed), rows * columns));
  return { data, rows, columns };
}

/** from - left rightᵀ */
function subtractPlainly(left: Matrix, right: Matrix, from: Matrix): Float64Array {
  const depth = left.columns;
  return from.data.map((value, at) => {
    const [i, j] = [Math.floor(at / from.columns), at % from.columns];
    for (let k = 0; k < depth; k++) {
      value -= left.data[i * depth + k]! * right.data[j * depth + k]!;
    }
    return value;
  });
}

test("a product is subtracted in double precision, from views of rows too", (t) =>
  withMatrixProducts(async (products) => {
    const left = rowsOf(random(1, 90, 70), 20, 85);
    const [right, from] = [random(2, 33, 70), random(3, 65, 33)];
    const result = await products.subtract(left, right, from);
    t.deepEqual([result.rows, result.columns], [65, 33]);
    for (const [at, value] of subtractPlainly(left, right, from).entries()) {
      t.true(Math.abs(result.data[at]! - value) < 1e-13);
    }
    const negative = await products.subtract(left, right);
    for (const [at, value] of subtractPlainly(left, right, zeros(65, 33)).entries()) {
      t.true(Math.abs(negative.data[at]! - value) < 1e-13);
    }
  }));

test("a product over nothing subtracts nothing, and one of no rows has none", (t) =>
  withMatrixProducts(async (products) => {
    const from = random(1, 2, 3);
    t.deepEqual(await products.subtract(zeros(2, 0), zeros(3, 0), from), from);
    t.deepEqual(await products.subtract(zeros(0, 4), zeros(3, 4)), zeros(0, 3));
  }));

test("shapes that do not belong together are refused", async (t) => {
  await t.throwsAsync(
    withMatrixProducts((products) => products.subtract(zeros(2, 3), zeros(2, 4))),
    { instanceOf: CalibrationError, message: /matrix product failed/ },
  );
});
