import { join } from "node:path";
import { writeFileSync } from "node:fs";
import test from "ava";
import { fitClusterRouter } from "../../router/fit-clusters.ts";
import { fitLogisticRouter } from "../../router/fit-logistic.ts";
import { readRouterFile, routerFile } from "../../router/router-file.ts";
import type { Router } from "../../router/router.ts";
import { centerAt, rowsAround } from "../helpers/feature-groups.ts";
import { tempDir } from "../helpers/temp-dir.ts";

const tasks = new Map([
  ["math", rowsAround(centerAt(0), 120, { seed: 1 })],
  ["code", rowsAround(centerAt(1), 120, { seed: 2 })],
  ["chat", rowsAround(centerAt(2), 120, { seed: 3 })],
]);
const background = new Map([["noise", rowsAround(centerAt(3), 120, { seed: 4 })]]);
const model = "0123456789abcdef";

/** Every strategy, fitted anew at each call. */
const strategies: Readonly<Record<string, () => Parameters<typeof routerFile>[0]>> = {
  clusters: () => fitClusterRouter({ tasks, background }, { model }),
  logistic: () => fitLogisticRouter({ tasks }, { model }),
};

/** Own, between two and far away. */
const probes: readonly Float32Array[] = [
  ...["math", "code", "chat"].map((task) => tasks.get(task)![0]!),
  Float32Array.of(4, 4, 0, 0, 0, 0),
  Float32Array.of(50, -50, 50, 50, 0, 50),
];

for (const [kind, create] of Object.entries(strategies)) {
  test(`${kind}: says what it is and reads`, (t) => {
    const router = create();
    t.is(router.kind, kind as Router["kind"]);
    t.deepEqual(router.tasks, [...router.tasks].sort());
    t.true(Number.isInteger(router.numFeatures));
  });

  test(`${kind}: a decision is consistent in itself`, (t) => {
    const router = create();
    for (const features of probes) {
      const { task, confidence, reason, margin, strangeness, threshold, scores, nearest } =
        router.route(features);
      t.true(confidence >= 0 && confidence <= 1);
      t.true(margin >= 0);
      t.deepEqual(scores.map((score) => score.task).sort(), [...router.tasks]);
      const total = scores.reduce((sum, { probability }) => sum + probability, 0);
      t.true(Math.abs(total - 1) < 1e-6);
      t.deepEqual(
        scores.map(({ probability }) => probability),
        scores.map(({ probability }) => probability).sort((a, b) => b - a),
      );
      t.is(strangeness > threshold, reason === "out-of-distribution");
      t.is(task, reason === "out-of-distribution" ? null : scores[0]!.task);
      const distances = nearest.map(({ distance }) => distance);
      t.deepEqual(
        distances,
        distances.toSorted((a, b) => a - b),
      );
    }
  });

  test(`${kind}: the same prompts make the same router and the same decisions`, (t) => {
    const [first, second] = [create(), create()];
    for (const features of probes) {
      t.deepEqual(first.route(features), second.route(features));
      t.deepEqual(first.route(features), first.route(features));
    }
    t.deepEqual(Buffer.concat(routerFile(first)), Buffer.concat(routerFile(second)));
  });

  test(`${kind}: decides the same after it was written and read`, (t) => {
    const router = create();
    const path = join(tempDir(t), "router.safetensors");
    writeFileSync(path, Buffer.concat(routerFile(router)));
    const read = readRouterFile(path, model);
    t.is(read.kind, router.kind);
    t.deepEqual(read.tasks, router.tasks);
    t.is(read.model, router.model);
    for (const features of probes) t.deepEqual(read.route(features), router.route(features));
  });

  test(`${kind}: features of another length are refused`, (t) => {
    const router = create();
    t.throws(() => router.route(new Float32Array(router.numFeatures + 1)), {
      instanceOf: RangeError,
      message: /expected \d+ numbers, got \d+/,
    });
  });
}

for (const kind of ["clusters", "logistic"] as const) {
  test(`${kind}: prompts of a task get this task`, (t) => {
    const router = strategies[kind]!();
    let numRejected = 0;
    for (const [direction, task] of ["math", "code", "chat"].entries()) {
      const rows = rowsAround(centerAt(direction), 100, { seed: 50 + direction });
      const decisions = rows.map((row) => router.route(row));
      t.true(decisions.every(({ scores }) => scores[0]!.task === task));
      numRejected += decisions.filter((decision) => decision.task === null).length;
    }
    t.true(numRejected <= 0.2 * 300, `${numRejected} of 300 were rejected`);
  });
}

test("clusters: what is like the background, or like nothing, is of no task", (t) => {
  const router = strategies["clusters"]!();
  for (const row of rowsAround(centerAt(3), 20, { seed: 60 })) {
    t.is(router.route(row).reason, "out-of-distribution");
  }
  const far = router.route(Float32Array.of(60, 60, 60, 60, 60, 60));
  t.is(far.task, null);
});
