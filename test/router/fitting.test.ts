import test from "ava";
import { fitTemperature, strangenessOf, upperQuantile } from "../../router/calibration.ts";
import { fitDiscriminant, project } from "../../router/discriminant.ts";
import { RouterError } from "../../router/errors.ts";
import { fitClusterRouter } from "../../router/fit-clusters.ts";
import { generator, kMeans, nearestCentroid } from "../../router/k-means.ts";
import { minimize } from "../../router/lbfgs.ts";
import {
  cholesky,
  dot,
  principalDirections,
  solveLower,
  solveLowerTransposed,
} from "../../router/matrix.ts";
import { fitSoftmaxRegression, linearScores, softmax } from "../../router/softmax-regression.ts";
import { centerAt, rowsAround } from "../helpers/feature-groups.ts";

test("k-means finds groups that lie apart, the same for the same seed", (t) => {
  const groups = [0, 1, 2].map((direction) =>
    rowsAround(centerAt(direction, 20), 30, { seed: direction + 1 }).map((row) =>
      Float64Array.from(row),
    ),
  );
  const rows = groups.flat();
  const { assignment, centroids } = kMeans(rows, 3, 5);
  for (const start of [0, 30, 60]) t.is(new Set(assignment.slice(start, start + 30)).size, 1);
  t.is(new Set(assignment).size, 3);
  t.deepEqual(kMeans(rows, 3, 5).centroids, centroids);
});

test("k-means makes no more clusters than there are different rows", (t) => {
  const rows = [1, 1, 2, 2, 2].map((value) => Float64Array.of(value, 0));
  t.is(kMeans(rows, 4, 1).centroids.length, 2);
});

test("the lowest centroid wins ties", (t) => {
  const centroids = [Float64Array.of(5), Float64Array.of(-1), Float64Array.of(1)];
  t.deepEqual(nearestCentroid(Float64Array.of(0), centroids), { index: 1, distance: 1 });
});

test("a Cholesky factor solves systems, and an indefinite matrix has none", (t) => {
  const lower = cholesky([Float64Array.of(4), Float64Array.of(2, 5), Float64Array.of(1, 3, 6)])!;
  const b = Float64Array.of(1, 2, 3);
  const x = solveLowerTransposed(lower, solveLower(lower, b));
  const product = [4 * x[0]! + 2 * x[1]! + x[2]!, 2 * x[0]! + 5 * x[1]! + 3 * x[2]!];
  t.true(Math.abs(product[0]! - 1) < 1e-12 && Math.abs(product[1]! - 2) < 1e-12);
  t.is(cholesky([Float64Array.of(1), Float64Array.of(2, 1)]), null);
});

test("principal directions are orthonormal, widest first, by either Gram matrix", (t) => {
  const random = generator(3);
  const widths = [1, 10, 4, 0.1, 2];
  const row = () => Float64Array.from(widths, (width) => width * (random() - 0.5));
  for (const count of [4, 40]) {
    const rows = Array.from({ length: count }, row);
    const directions = principalDirections(rows, 3);
    t.is(directions.length, 3);
    const spread = directions.map((d) => rows.reduce((sum, r) => sum + dot(r, d) ** 2, 0));
    t.deepEqual(
      spread,
      spread.toSorted((a, b) => b - a),
    );
    for (const [i, a] of directions.entries()) {
      for (const [j, b] of directions.entries()) {
        t.true(Math.abs(dot(a, b) - +(i === j)) < 1e-9);
      }
    }
  }
});

test("the minimum of a badly scaled quadratic is found", (t) => {
  const scales = [1, 100, 0.01, 7];
  const found = minimize(
    (point, gradient) => {
      let value = 0;
      for (const [i, scale] of scales.entries()) {
        const away = point[i]! - (i + 1);
        value += 0.5 * scale * away * away;
        gradient[i] = scale * away;
      }
      return value;
    },
    new Float64Array(4),
    { maxIterations: 200, tolerance: 1e-9 },
  );
  for (const [i, value] of found.entries()) t.true(Math.abs(value - (i + 1)) < 1e-4);
});

test("softmax regression separates classes and counts each the same, however large", (t) => {
  const rows = [
    ...rowsAround([3, 0], 100, { seed: 1 }),
    ...rowsAround([0, 3], 10, { seed: 2 }),
  ].map((row) => Float64Array.from(row));
  const labels = Int32Array.from(rows, (_, i) => +(i >= 100));
  const fit = fitSoftmaxRegression(rows, labels, { numClasses: 2, decay: 1e-3 });
  const probability = softmax(linearScores(fit, Float64Array.of(0, 3)));
  t.true(probability[1]! > 0.9);
  const [left, right] = softmax(linearScores(fit, Float64Array.of(1.5, 1.5)));
  t.true(Math.abs(left! - right!) < 0.7);
});

test("discriminants have one dimension fewer than groups, and unit spread within", (t) => {
  const groups = [0, 1, 2].map((i) => rowsAround(centerAt(i), 300, { seed: i + 9, spread: 3 }));
  const projection = fitDiscriminant(groups);
  t.is(projection.matrix.length, 2);
  for (const group of groups) {
    const places = group.map((row) => project(projection, row));
    for (const k of [0, 1]) {
      const mean = places.reduce((sum, place) => sum + place[k]! / places.length, 0);
      const variance = places.reduce((sum, place) => sum + (place[k]! - mean) ** 2, 0) / 300;
      t.true(variance > 0.7 && variance < 1.3);
    }
  }
});

test("strangeness grows with the distance and the nearness of the background, and falls with the margin", (t) => {
  const at = (task: number, none: number, second = task + 5) =>
    strangenessOf({ tasks: Float64Array.of(second ** 2, task ** 2), none: none ** 2 });
  t.true(at(4, 10) > at(2, 10));
  t.true(at(4, 1) > at(4, 10));
  t.true(at(4, 10, 5) > at(4, 10, 12));
  t.true(at(50, 60) > at(4, 14), "far from everything is strange too");
});

test("strangeness goes without a background and without a second task", (t) => {
  t.is(strangenessOf({ tasks: Float64Array.of(16, 36), none: Infinity }), 1);
  t.is(strangenessOf({ tasks: Float64Array.of(16), none: 1 }), 5);
  t.is(strangenessOf({ tasks: Float64Array.of(0, 0), none: 0 }), 0);
});

test("the threshold lets the asked share of own prompts through", (t) => {
  const values = Array.from({ length: 100 }, (_, i) => i);
  t.is(values.filter((value) => value > upperQuantile(values, 0.05)).length, 5);
  t.is(upperQuantile([1, 2, 3], 0.99), 1);
});

test("distances that decide wrongly now and then get a higher temperature", (t) => {
  const rows = Array.from({ length: 100 }, () => Float64Array.of(0, 4));
  const sure = fitTemperature(
    rows,
    rows.map(() => 0),
  );
  const unsure = fitTemperature(
    rows,
    rows.map((_, i) => +(i % 4 === 0)),
  );
  t.true(unsure > 4 * sure);
});

test("a router needs two tasks and some prompts of each", (t) => {
  const rows = rowsAround(centerAt(0), 20);
  const fit = (tasks: Map<string, Float32Array[]>) => () =>
    fitClusterRouter({ tasks, background: new Map() }, { model: null });
  t.throws(fit(new Map([["math", rows]])), {
    instanceOf: RouterError,
    message: "Expected at least 2 tasks to choose from, got 1.",
  });
  t.throws(
    fit(
      new Map([
        ["math", rows],
        ["code", rows.slice(0, 3)],
      ]),
    ),
    {
      message: "code: expected at least 8 prompts to fit a router with, got 3.",
    },
  );
  const same = Array.from({ length: 8 }, () => new Float32Array(6));
  t.throws(
    fit(
      new Map([
        ["math", same],
        ["code", same],
      ]),
    ),
    { instanceOf: RouterError },
  );
});
