import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import { readExpert } from "../../../model/experts/expert-artifact.ts";
import { checkExpertPlan, planShapes } from "../../../model/experts/expert-plan.ts";
import { buildMiddleSegments } from "../../../model/stages/model-stages.ts";
import { prunedWeights } from "../../../model/experts/pruned-weights.ts";
import { buildExpert, expertKey } from "../../../prune/experts/build-expert.ts";
import { calibrate } from "../../../prune/calibration/calibrate.ts";
import { CalibrationError } from "../../../prune/errors.ts";
import { expertSegments } from "../../../prune/experts/expert-maker.ts";
import type { Profile } from "../../../prune/calibration/profile.ts";
import type { ProfileSource } from "../../../prune/calibration/profile-source.ts";
import { orderChannels } from "../../../prune/choice/obs.ts";
import { compensate } from "../../../prune/compensation/compensation.ts";
import { planExpert, thinModel } from "../../../prune/choice/plan-expert.ts";
import type { PlanOptions } from "../../../prune/choice/plan-expert.ts";
import { calibrationFor, methods, recipes } from "../../../prune/choice/recipe.ts";
import type { Recipe } from "../../../prune/choice/recipe.ts";
import { expertOfSchema2 } from "../../helpers/expert-of-schema-2.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { stageContent } from "../../helpers/stage-content.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const weights = tinyModel({ numLayers: 7, numHeads: 8, headDim: 16, intermediateSize: 512 });
const sequences = Array.from({ length: 12 }, (_, sequence) =>
  Uint32Array.from({ length: 60 }, (_, i) => (i * i * 7 + i * 31 + sequence * 101) % 256),
);

const calibrated = mkdtempSync(join(tmpdir(), "seap-test-"));
test.after.always(() => rmSync(calibrated, { recursive: true, force: true }));
const profiles = new Map<boolean, Promise<Profile>>();

/** A profile that all tests share, and a store of the test's own. */
async function profileOf(t: ExecutionContext, withComoment = true) {
  let profile = profiles.get(withComoment);
  if (profile === undefined) {
    const options = { recipe: { format: "f32", withComoment }, numThreads: 1 } as const;
    profile = calibrate(weights, sequences, new ArtifactStore(calibrated), options);
    profiles.set(withComoment, profile);
  }
  return { store: new ArtifactStore(tempDir(t)), profile: await profile };
}

function sourceOf(profile: Profile): ProfileSource {
  return {
    tasks: ["math"],
    profileOf: () => Promise.resolve(profile),
    general: () => Promise.resolve(profile),
  };
}

async function planWith(t: ExecutionContext, options: Omit<PlanOptions, "task">) {
  const { store, profile } = await profileOf(t);
  const calibration = await calibrationFor(options.method, "math", sourceOf(profile));
  const { choice } = recipes[options.method];
  const thinning = await thinModel(weights, calibration, choice, store);
  return { calibration, plan: planExpert(weights, thinning, { ...options, task: "math" }) };
}

function logitsError(actual: Float32Array, expected: Float32Array): number {
  const squares = expected.reduce((sum, value, i) => sum + (actual[i]! - value) ** 2, 0);
  return squares / expected.length;
}

for (const method of methods) {
  test(`${method}: at sparsity 0 the expert is the dense middle, bit for bit`, async (t) => {
    const { plan, calibration } = await planWith(t, { method, target: 0 });
    const expert = await expertSegments(weights, calibration, plan, { method, format: "q8" });
    const dense = buildMiddleSegments(weights, "q8", { name: "math" });
    t.deepEqual(expert.map(stageContent), dense.map(stageContent));
    t.is(plan.sparsity.middle, 0);
  });

  test(`${method}: a plan removes what was asked and fits the model`, async (t) => {
    for (const target of [0.2, 0.5]) {
      const { plan } = await planWith(t, { method, target });
      t.notThrows(() => checkExpertPlan("plan", plan, weights));
      // A step of 32 channels in one of three layers is 2 % of this middle.
      t.true(Math.abs(plan.sparsity.middle - target) < 0.021, `${plan.sparsity.middle}`);
    }
  });
}

test("least squares keeps the dense logits better than SEAP's bias, and that better than none", async (t) => {
  const held = Uint32Array.from({ length: 50 }, (_, i) => (i * i * 7 + i * 31 + 5 * 101) % 256);
  const dense = plainForward(weights, held);
  const { plan, calibration } = await planWith(t, { method: "best", target: 0.3 });
  const errorWith = async (compensation: Recipe["compensation"]) => {
    const { statistics } = calibration;
    const replacements = await compensate(weights, statistics, plan, compensation);
    const pruned = prunedWeights(weights, plan, replacements);
    const { numLayers, numHeads, numKvHeads, intermediateSize } = weights.config;
    const full = { numHeads, numKvHeads, intermediateSize };
    const layerShapes = Array.from({ length: numLayers }, () => full);
    layerShapes.splice(2, plan.layers.length, ...planShapes(plan));
    return logitsError(plainForward(pruned, held, { layerShapes }), dense);
  };
  t.true((await errorWith("leastSquares")) < (await errorWith("bias")));
  t.true((await errorWith("bias")) < (await errorWith("none")));
});

test("without Gram matrices the surgeon says what it needs", async (t) => {
  const { store, profile } = await profileOf(t, false);
  const calibration = await calibrationFor("best", "math", sourceOf(profile));
  const error = await t.throwsAsync(thinModel(weights, calibration, "surgeon", store), {
    instanceOf: CalibrationError,
  });
  t.regex(error.message, /Gram/);
});

test("an error counts relative to the residual stream, and exp(1 / 2) times as much at the end of the middle", async (t) => {
  const { store, profile } = await profileOf(t);
  const calibration = await calibrationFor("best", "math", sourceOf(profile));
  const { layers } = await thinModel(weights, calibration, "surgeon", store);
  t.is(layers.length, 3);
  for (const [i, { sensitivity }] of layers.entries()) {
    const { comoment, count } = profile.readLayer(2 + i).mlp;
    const { errors } = (await orderChannels(weights.readLayerTensor(2 + i, "down"), comoment!))!;
    const scale = (comoment!.weight / count) * Math.exp(0.25 * i);
    for (const [k, { share, loss }] of sensitivity!.mlp.entries()) {
      t.is(share, (k + 1) / weights.config.intermediateSize);
      t.true(Math.abs(loss - errors[k + 1]! * scale) <= 1e-6 * loss);
    }
  }
});

test("a mask over all tasks has the sum of their scores", async (t) => {
  const { store, profile } = await profileOf(t);
  const shards = await Promise.all(
    [0, 1].map((index) =>
      calibrate(weights, sequences, store, {
        recipe: { format: "f32", withComoment: true },
        numThreads: 1,
        shard: { index, count: 2 },
      }),
    ),
  );
  const profiles: ProfileSource = {
    tasks: ["0", "1"],
    profileOf: (task) => Promise.resolve(shards[Number(task)]!),
    general: () => Promise.resolve(profile),
  };
  const calibration = await calibrationFor("seap-general", "general", profiles);
  const { layers } = await thinModel(weights, calibration, "variance", store);
  const down = weights.readLayerTensor(2, "down");
  const scores = Array.from({ length: weights.config.intermediateSize }, (_, channel) => {
    const norm = columnNorm(down, weights.config.intermediateSize, channel);
    return shards.reduce(
      (sum, shard) => sum + (shard.readLayer(2).mlp.variance()[channel]! * norm) / 2,
      0,
    );
  });
  const expected = [...scores.keys()].sort((a, b) => scores[a]! - scores[b]!);
  t.deepEqual(layers[0]!.removalOrder, expected);
});

function columnNorm(matrix: Float32Array, numColumns: number, column: number): number {
  let sum = 0;
  for (let at = column; at < matrix.length; at += numColumns) sum += matrix[at]! ** 2;
  return sum;
}

test("an expert is built once, and comes back from disk as it was built", async (t) => {
  const { store, profile } = await profileOf(t);
  const profiles = sourceOf(profile);
  const options = {
    task: "math",
    method: "seap",
    target: 0.3,
    format: "q8",
  } as const;
  const { artifact } = await buildExpert(weights, profiles, store, options);
  const { plan, segments } = readExpert(artifact);
  const calibration = await calibrationFor("seap", "math", profiles);
  const thinning = await thinModel(weights, calibration, "variance", store);
  const expected = await expertSegments(weights, calibration, plan, options);
  t.deepEqual(plan, planExpert(weights, thinning, options));
  t.is(await expertKey(weights, profiles, store, options), artifact.key);
  t.deepEqual(segments.map(stageContent), expected.map(stageContent));
  const again = await buildExpert(weights, profiles, store, options);
  t.is(again.artifact.key, artifact.key);
  t.is(again.buildSeconds, null);
  t.is((await store.keys()).filter((key) => key.startsWith("expert-")).length, 1);
  const other = await buildExpert(weights, profiles, store, { ...options, target: 0.5 });
  t.not(other.artifact.key, artifact.key);
});

test("a damaged expert is built again, and a line says so", async (t) => {
  const { store, profile } = await profileOf(t);
  const profiles = sourceOf(profile);
  const lines: string[] = [];
  const options = {
    task: "math",
    method: "seap",
    target: 0.3,
    format: "q8",
    log: (line: string) => lines.push(line),
  } as const;
  const { artifact } = await buildExpert(weights, profiles, store, options);
  const path = artifact.path("weights-0.bin");
  const bytes = readFileSync(path);
  const damaged = Buffer.from(bytes);
  damaged[100]! ^= 1;
  writeFileSync(path, damaged);
  const { artifact: rebuilt } = await buildExpert(weights, profiles, store, options);
  t.deepEqual(readFileSync(rebuilt.path("weights-0.bin")), bytes);
  t.is(lines.length, 1);
  t.regex(lines[0]!, /building it again/);
});

test("an expert's key is what it was before its graph was no part of it", async (t) => {
  const { store, profile } = await profileOf(t);
  const options = { task: "math", method: "best", target: 0.3, format: "q8" } as const;
  const key = await expertKey(weights, sourceOf(profile), store, options);
  t.is(key, "expert-01bdd930545998cfcc669dffe181d40f");
});

test("an expert that was stored with its graphs is not built again, one of an unknown schema is", async (t) => {
  const { store, profile } = await profileOf(t);
  const lines: string[] = [];
  const options = {
    task: "math",
    method: "seap",
    target: 0.3,
    format: "q8",
    log: (line: string) => lines.push(line),
  } as const;
  const build = () => buildExpert(weights, sourceOf(profile), store, options);
  const { artifact } = await build();
  const former = expertOfSchema2(readExpert(artifact));
  await store.remove(artifact.key);
  await store.write(artifact.key, former.metadata, former.files);
  t.is((await build()).buildSeconds, null);
  t.deepEqual(lines, []);

  await store.remove(artifact.key);
  await store.write(artifact.key, { schemaVersion: 1 }, former.files);
  const rebuilt = await build();
  t.not(rebuilt.buildSeconds, null);
  t.deepEqual(rebuilt.artifact.metadata, artifact.metadata);
  t.is(lines.length, 1);
  t.regex(lines[0]!, /is no expert of this release: schemaVersion.*building it again/);
});
