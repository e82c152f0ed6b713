import test from "ava";
import { distribution, median, percentile } from "../../../bench/load/percentiles.ts";

test("percentiles between two values are in proportion", (t) => {
  t.is(percentile([10, 20, 30, 40], 0), 10);
  t.is(percentile([10, 20, 30, 40], 0.5), 25);
  t.is(percentile([10, 20, 30, 40], 1), 40);
  t.is(percentile([0, 100], 0.99), 99);
  t.is(percentile([7], 0.99), 7);
});

test("no values have no percentiles", (t) => {
  t.is(percentile([], 0.5), null);
  t.deepEqual(distribution([]), {
    ...{ count: 0, mean: null, p50: null, p90: null, p99: null, max: null },
  });
});

test("values need no order, and keep the one they have", (t) => {
  const values = [30, 9, 100, 20];
  t.is(median(values), 25);
  const { count, mean, max } = distribution(values);
  t.deepEqual({ count, mean, max }, { count: 4, mean: 39.75, max: 100 });
  t.deepEqual(values, [30, 9, 100, 20]);
});
