import test from "ava";
import {
  blockOf,
  inverseFactor,
  rowsOf,
  setBlock,
  takeRows,
  transpose,
  zeros,
} from "../../../prune/linear/matrix.ts";

test("the inverse factor of [[4, 2], [2, 5]] is the inverse of [[2, 0], [1, 2]]", (t) => {
  const inverse = inverseFactor({ data: Float64Array.of(4, 99, 2, 5), rows: 2, columns: 2 })!;
  t.deepEqual([...inverse.data], [0.5, 0, -0.25, 0.5]);
});

test("a matrix that is not positive definite has no factor", (t) => {
  const square = (...data: number[]) => {
    const size = Math.sqrt(data.length);
    return { data: Float64Array.from(data), rows: size, columns: size };
  };
  t.is(inverseFactor(square(1, 2, 2, 1)), null);
  t.is(inverseFactor(square(0)), null);
  t.is(inverseFactor(square(NaN)), null);
  t.is(inverseFactor(square(Infinity)), null);
});

test("blocks are set and copied, rows are taken in order, and transposing swaps both", (t) => {
  const matrix = zeros(2, 3);
  setBlock(matrix, [0, 1], { data: Float64Array.of(1, 2, 3, 4), rows: 2, columns: 2 });
  t.deepEqual([...matrix.data], [0, 1, 2, 0, 3, 4]);
  const block = blockOf(matrix, [1, 1], [1, 2]);
  t.deepEqual(block, { data: Float64Array.of(3, 4), rows: 1, columns: 2 });
  t.deepEqual([...takeRows(matrix, [1, 0]).data], [0, 3, 4, 0, 1, 2]);
  t.deepEqual(transpose(matrix), { data: Float64Array.of(0, 0, 1, 3, 2, 4), rows: 3, columns: 2 });
});

test("rows are a view", (t) => {
  const matrix = zeros(3, 2);
  rowsOf(matrix, 1, 3).data[1] = 5;
  t.deepEqual([...matrix.data], [0, 0, 0, 5, 0, 0]);
});
