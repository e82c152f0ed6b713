import test from "ava";
import {
  bootstrapRatio,
  meanEstimate,
  pairedDifference,
  wilson,
} from "../../../prune/scoring/intervals.ts";

function near(actual: number, expected: number, tolerance: number): boolean {
  return Math.abs(actual - expected) <= tolerance;
}

test("Wilson's interval is that of the textbook", (t) => {
  // 8 of 10: 0.490 to 0.943.
  const { value, low, high } = wilson([1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
  t.is(value, 0.8);
  t.true(near(low, 0.4902, 1e-4), String(low));
  t.true(near(high, 0.9433, 1e-4), String(high));
});

test("Wilson's interval stays within 0 and 1", (t) => {
  const [none, all] = [wilson([0, 0, 0]), wilson([1, 1, 1])];
  t.true(none.low >= 0 && near(none.low, 0, 1e-12));
  t.true(all.high <= 1 && near(all.high, 1, 1e-12));
});

test("the bootstrap is the same each time and about the normal interval", (t) => {
  const values = Float64Array.from({ length: 400 }, (_, i) => i % 2);
  const ones = new Float64Array(400).fill(1);
  const estimate = bootstrapRatio(values, ones);
  t.deepEqual(estimate, bootstrapRatio(values, ones));
  t.is(estimate.value, 0.5);
  t.true(near(estimate.low, 0.451, 0.01), String(estimate.low));
  t.true(near(estimate.high, 0.549, 0.01), String(estimate.high));
});

test("rows weigh by their denominator", (t) => {
  t.is(bootstrapRatio([10, 2], [1, 3]).value, 3);
});

test("a difference that is the same in every row has no width", (t) => {
  const baseline = Float64Array.from([1, 5, 9]);
  const estimate = pairedDifference(
    baseline.map((value) => value + 2),
    baseline,
  );
  t.deepEqual(estimate, { value: 2, low: 2, high: 2 });
});

test("the mean of estimates has half-widths that add up as standard errors", (t) => {
  const a = { value: 1, low: 1 - 3, high: 1 + 6 };
  const b = { value: 3, low: 3 - 4, high: 3 + 8 };
  t.deepEqual(meanEstimate([a, b]), { value: 2, low: 2 - 2.5, high: 2 + 5 });
});
