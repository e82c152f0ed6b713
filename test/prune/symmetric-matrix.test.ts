import test from "ava";
import type { Matrix } from "../../prune/matrix.ts";
import { withMatrixProducts } from "../../prune/matrix-products.ts";
import { SymmetricMatrix } from "../../prune/symmetric-matrix.ts";
import { randomMatrix, seededRandom } from "../helpers/random-problem.ts";

/** X Xᵀ, packed. */
function packedSquare(x: Float32Array, size: number): Float64Array {
  const depth = x.length / size;
  const packed = new Float64Array((size * (size + 1)) / 2);
  for (let i = 0, at = 0; i < size; i++) {
    for (let j = 0; j <= i; j++, at++) {
      for (let k = 0; k < depth; k++) packed[at]! += x[i * depth + k]! * x[j * depth + k]!;
    }
  }
  return packed;
}

const upTo = (size: number) => Array.from({ length: size }, (_, i) => i);
const at = ({ data, columns }: Matrix, i: number, j: number) => data[i * columns + j]!;

// Sizes around the panels of 64.
for (const size of [1, 3, 63, 64, 65, 130]) {
  const x = randomMatrix(seededRandom(size), size * size);

  test(`at size ${size}, the inverse times the matrix is the identity`, async (t) => {
    const matrix = SymmetricMatrix.fromPacked(packedSquare(x, size), upTo(size), 1);
    const inverse = (await withMatrixProducts((products) => matrix.inverse(products)))!;
    const [dense, denseInverse] = [matrix.toDense(), inverse.toDense()];
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        let sum = i === j ? -1 : 0;
        for (let k = 0; k < size; k++) sum += at(denseInverse, i, k) * at(dense, k, j);
        t.true(Math.abs(sum) < 1e-10);
      }
    }
  });

  test(`at size ${size}, every view has the same elements`, async (t) => {
    const packed = packedSquare(x, size);
    const matrix = SymmetricMatrix.fromPacked(packed, upTo(size), 2);
    const [dense, indices] = [matrix.toDense(), upTo(size).filter((i) => i % 5 !== 1)];
    const columns = matrix.columns(indices);
    const square = matrix.square(indices);
    const selected = matrix.select(indices);
    for (const [i, row] of indices.entries()) {
      for (const [j, column] of indices.entries()) {
        const [high, low] = [Math.max(row, column), Math.min(row, column)];
        const expected = packed[(high * (high + 1)) / 2 + low]! + (row === column ? 2 : 0);
        t.is(matrix.at(row, column), expected);
        t.is(at(dense, row, column), expected);
        t.is(at(columns, row, j), expected);
        t.is(at(square, i, j), expected);
        t.is(selected.at(i, j), expected);
      }
    }

    const factor = { data: Float64Array.from(x), rows: size, columns: size };
    const zero = await withMatrixProducts((products) => matrix.subtractSquare(products, factor));
    for (const i of indices) {
      for (const j of indices) t.true(Math.abs(zero.at(i, j) - (i === j ? 2 : 0)) < 1e-12);
    }
  });
}

test("a matrix that is not positive definite beyond its first panel has no inverse", async (t) => {
  const packed = packedSquare(randomMatrix(seededRandom(1), 4900), 70);
  packed[(66 * 69) / 2] = -2;
  const matrix = SymmetricMatrix.fromPacked(packed, upTo(70), 1);
  t.is(await withMatrixProducts((products) => matrix.inverse(products)), null);
});
