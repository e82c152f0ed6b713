import test from "ava";
import type { Matrix } from "../../../prune/linear/matrix.ts";
import { withMatrixProducts } from "../../../prune/linear/matrix-products.ts";
import { SymmetricMatrix } from "../../../prune/linear/symmetric-matrix.ts";
import { randomMatrix, seededRandom } from "../../helpers/random-problem.ts";

const at = ({ data, columns }: Matrix, i: number, j: number) => data[i * columns + j]!;

// Sizes around the panels of 64.
for (const size of [1, 3, 63, 64, 65, 130]) {
  const data = Float64Array.from(randomMatrix(seededRandom(size), size * size));
  const dense = { data, rows: size, columns: size };
  const lower = (i: number, j: number) => at(dense, Math.max(i, j), Math.min(i, j));
  const indices = Array.from({ length: size }, (_, i) => i).filter((i) => i % 5 !== 1);

  test(`of size ${size}, every part is that of the lower triangle`, (t) => {
    const matrix = SymmetricMatrix.from(dense);
    const [columns, square] = [matrix.columns(indices), matrix.square(indices)];
    const selected = matrix.select(indices);
    const selectedAgain = selected.select(indices.map((_, i) => i).slice(1));
    for (const [i, row] of indices.entries()) {
      for (const [j, column] of indices.entries()) {
        const expected = lower(row, column);
        t.is(matrix.at(row, column), expected);
        t.is(at(columns, row, j), expected);
        t.is(at(square, i, j), expected);
        t.is(selected.at(i, j), expected);
        if (i > 0 && j > 0) t.is(selectedAgain.at(i - 1, j - 1), expected);
      }
    }
  });

  test(`of size ${size}, a square is subtracted from every element`, async (t) => {
    const factor = Float64Array.from(randomMatrix(seededRandom(9), size * 7));
    const result = await withMatrixProducts((products) =>
      SymmetricMatrix.from(dense).subtractSquare(products, {
        data: factor,
        rows: size,
        columns: 7,
      }),
    );
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        let expected = lower(i, j);
        for (let k = 0; k < 7; k++) expected -= factor[i * 7 + k]! * factor[j * 7 + k]!;
        t.true(Math.abs(result.at(i, j) - expected) < 1e-13);
      }
    }
  });
}
