import test from "ava";
import fc from "fast-check";
import { ModuleStatistics } from "../../../prune/calibration/statistics.ts";
import { randomInputs, seededRandom, sumsOf } from "../../helpers/random-problem.ts";

function close(a: ArrayLike<number>, b: ArrayLike<number>, tolerance = 1e-9): boolean {
  return Array.from(a).every(
    (value, i) => Math.abs(value - b[i]!) <= tolerance * (1 + Math.abs(value)),
  );
}

test("mean, variance and mean square of three tokens are those computed by hand", (t) => {
  // x = (1, 2), (3, 2), (5, 8)
  const statistics = ModuleStatistics.empty(2, { withComoment: false });
  statistics.addBatch({ count: 1, sum: [1, 2], sumOfSquares: [1, 4] });
  statistics.addBatch({ count: 2, sum: [8, 10], sumOfSquares: [34, 68] });
  t.is(statistics.count, 3);
  t.true(close(statistics.mean, [3, 4]));
  t.true(close(statistics.variance(), [8 / 3, 8]));
  t.true(close(statistics.meanSquare(), [35 / 3, 24]));
  t.is(statistics.comoment, null);
});

test("the comoment of two weighted tokens is the one computed by hand", (t) => {
  // x = (1, 0) with weight 3 and (5, 2) with weight 1: mean (2, 0.5)
  const statistics = ModuleStatistics.empty(2, { withComoment: true });
  statistics.addBatch(sumsOf(Float64Array.of(1, 0, 5, 2), [3, 1]));
  const { weight, mean, matrix } = statistics.comoment!;
  t.is(weight, 4);
  t.deepEqual([...mean], [2, 0.5]);
  // 3 (−1)² + 3²; 3 (−1)(−0.5) + 3 · 1.5; 3 · 0.25 + 1.5²
  t.deepEqual([...matrix], [12, 6, 3]);
});

test("shards merged in any split equal one run over all tokens", (t) => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1 }),
      (seed, lengths) => {
        const size = 4;
        const random = seededRandom(seed);
        const numTokens = lengths.reduce((a, b) => a + b, 0);
        const inputs = randomInputs(random, numTokens, size);
        const weights = Float64Array.from({ length: numTokens }, () => 0.1 + random());
        const whole = ModuleStatistics.empty(size, { withComoment: true });
        whole.addBatch(sumsOf(inputs, weights));
        const merged = ModuleStatistics.empty(size, { withComoment: true });
        let from = 0;
        for (const length of lengths) {
          const shard = ModuleStatistics.empty(size, { withComoment: true });
          const end = from + length;
          shard.addBatch(
            sumsOf(inputs.subarray(from * size, end * size), weights.subarray(from, end)),
          );
          merged.merge(shard);
          from = end;
        }
        t.is(merged.count, numTokens);
        t.true(close(merged.mean, whole.mean));
        t.true(close(merged.squaredDeviations, whole.squaredDeviations));
        t.true(close(merged.comoment!.mean, whole.comoment!.mean));
        t.true(close(merged.comoment!.matrix, whole.comoment!.matrix));
      },
    ),
  );
});

test("merging with weight 2 equals merging twice", (t) => {
  const random = seededRandom(5);
  const statistics = () => {
    const result = ModuleStatistics.empty(3, { withComoment: true });
    result.addBatch(sumsOf(randomInputs(random, 10, 3), new Float64Array(10).fill(1)));
    return result;
  };
  const [base, other] = [statistics(), statistics()];
  const twice = structuredClone({ ...base });
  const expected = new ModuleStatistics(twice);
  expected.merge(other);
  expected.merge(other);
  base.merge(other, 2);
  t.is(base.count, 30);
  t.true(close(base.variance(), expected.variance()));
  t.true(close(base.comoment!.matrix, expected.comoment!.matrix));
});
