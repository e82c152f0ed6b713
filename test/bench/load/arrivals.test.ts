import test from "ava";
import { poissonArrivals } from "../../../bench/load/arrivals.ts";
import { generator } from "../../../router/k-means.ts";

test("arrivals follow from the seed, ascend and end with the time", (t) => {
  const arrivals = poissonArrivals(5, 60, generator(7));
  t.deepEqual(arrivals, poissonArrivals(5, 60, generator(7)));
  t.notDeepEqual(arrivals, poissonArrivals(5, 60, generator(8)));
  t.deepEqual(
    arrivals,
    arrivals.toSorted((a, b) => a - b),
  );
  t.true(arrivals.every((at) => at >= 0 && at < 60));
});

test("the times between arrivals are exponential: their mean and deviation are one over the rate", (t) => {
  const rate = 4;
  const arrivals = poissonArrivals(rate, 5000, generator(1));
  const gaps = arrivals.slice(1).map((at, i) => at - arrivals[i]!);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
  t.true(Math.abs(mean * rate - 1) < 0.05);
  t.true(Math.abs(Math.sqrt(variance) * rate - 1) < 0.05);
});
