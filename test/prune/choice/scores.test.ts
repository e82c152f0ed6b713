import test from "ava";
import {
  flapGlobalScores,
  flapScores,
  headScores,
  orderByScore,
  squaredColumnNorms,
  standardise,
  wandaScores,
  weightedScores,
} from "../../../prune/choice/scores.ts";
import { ModuleStatistics } from "../../../prune/calibration/statistics.ts";

/** Two columns: ‖W[:, j]‖² is 1² + 2² = 5 and 2² + 0² = 4. */
const matrix = Float32Array.of(1, 2, 2, 0);

function statistics(): ModuleStatistics {
  // x = (1, 2), (3, 6): mean (2, 4), variance (1, 4), mean square (5, 20)
  const result = ModuleStatistics.empty(2, { withComoment: false });
  result.addBatch({ count: 2, sum: [4, 8], sumOfSquares: [10, 40] });
  return result;
}

test("‖W[:, j]‖² sums the squares of a column", (t) => {
  t.deepEqual([...squaredColumnNorms(matrix, 2)], [5, 4]);
});

test("FLAP's WIFV is s_F = var_j · ‖W[:, j]‖²", (t) => {
  t.deepEqual([...flapScores(statistics(), squaredColumnNorms(matrix, 2))], [1 * 5, 4 * 4]);
});

test("Wanda-sp's WIFN is s_W = sqrt(mean of x_j²) · ‖W[:, j]‖", (t) => {
  const [first, second] = wandaScores(statistics(), squaredColumnNorms(matrix, 2));
  t.is(first, 5); // sqrt(5) sqrt(5)
  t.is(second, Math.sqrt(80)); // sqrt(20) · 2
});

test("a head's score is the mean over its head_dim columns", (t) => {
  t.deepEqual([...headScores(Float64Array.of(1, 3, 10, 20), 2)], [2, 15]);
});

test("standardised scores have mean 0 and deviation 1 with divisor n - 1", (t) => {
  t.deepEqual([...standardise(Float64Array.of(1, 2, 3))], [-1, 0, 1]);
  t.deepEqual([...standardise(Float64Array.of(4, 4))], [0, 0]);
});

test("FLAP AL-AM squares attention columns, standardises per layer, and averages over a head", (t) => {
  const { heads, channels } = flapGlobalScores(
    Float64Array.of(1, 2, 0, 3), // squared 1, 4, 0, 9: mean 3.5, variance 49 / 3
    Float64Array.of(10, 20, 30),
    2,
  );
  const deviation = Math.sqrt(49 / 3);
  t.true(Math.abs(heads[0]! - -1 / deviation) < 1e-12);
  t.true(Math.abs(heads[1]! - 1 / deviation) < 1e-12);
  t.deepEqual([...channels], [-1, 0, 1]);
});

test("SEAP-gen is the weighted sum of the tasks' scores", (t) => {
  const tasks = [
    { scores: Float64Array.of(1, 2), weight: 0.5 },
    { scores: Float64Array.of(10, 0), weight: 2 },
  ];
  t.deepEqual([...weightedScores(tasks)], [20.5, 1]);
});

test("of equal scores the lower index goes first", (t) => {
  t.deepEqual(orderByScore(Float64Array.of(2, 1, 2, 0, 1)), [3, 1, 4, 0, 2]);
});
