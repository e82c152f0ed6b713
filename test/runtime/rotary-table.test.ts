import test from "ava";
import { RotaryTable } from "../../runtime/rotary-table.ts";

const frequencies = Float32Array.of(1, 0.25);

function row(table: RotaryTable, position: number, numPositions = position + 1): number[] {
  const { cos, sin } = table.feeds(numPositions);
  return [cos!, sin!].flatMap(({ data }) => [
    ...(data as Float32Array).subarray(2 * position, 2 * position + 2),
  ]);
}

test("a row has the cosines and sines of its position", (t) => {
  const expected = [Math.cos(5), Math.cos(1.25), Math.sin(5), Math.sin(1.25)];
  t.deepEqual(row(new RotaryTable(frequencies), 5), expected.map(Math.fround));
});

test("a table that grows keeps its rows, and one that is long enough is fed as it is", (t) => {
  const table = new RotaryTable(frequencies);
  const before = row(table, 3);
  const { cos } = table.feeds(4);
  t.is(table.feeds(2).cos, cos);
  t.deepEqual(row(table, 3, 1000), before);
  t.deepEqual(row(table, 999), row(new RotaryTable(frequencies), 999));
});
