import test from "ava";
import { plainAngles } from "../../model/weights/rope.ts";
import { RotaryTable } from "../../runtime/rotary-table.ts";

const angles = plainAngles(Float32Array.of(1, 0.25));

function row(table: RotaryTable, position: number, numPositions = position + 1): number[] {
  const { cos, sin } = table.feeds(numPositions);
  return [cos!, sin!].flatMap(({ data }) => [
    ...(data as Float32Array).subarray(2 * (position + 1), 2 * (position + 2)),
  ]);
}

test("a row has the cosines and sines of its position", (t) => {
  const expected = [Math.cos(5), Math.cos(1.25), Math.sin(5), Math.sin(1.25)];
  t.deepEqual(row(new RotaryTable(angles), 5), expected.map(Math.fround));
});

test("the first row turns nothing, whatever the magnitude", (t) => {
  t.deepEqual(row(new RotaryTable({ ...angles, magnitude: 1.5 }), -1, 4), [1, 1, 0, 0]);
});

test("cosines and sines are multiplied by the magnitude", (t) => {
  const [plain, larger] = [angles, { ...angles, magnitude: 1.5 }].map((one) =>
    row(new RotaryTable(one), 5),
  );
  for (const [i, value] of larger!.entries()) t.true(Math.abs(value - 1.5 * plain![i]!) < 1e-6);
});

test("a table that grows keeps its rows, and one that is long enough is fed as it is", (t) => {
  const table = new RotaryTable(angles);
  const before = row(table, 3);
  const { cos } = table.feeds(4);
  t.is(table.feeds(2).cos, cos);
  t.deepEqual(row(table, 3, 1000), before);
  t.deepEqual(row(table, 999), row(new RotaryTable(angles), 999));
});
