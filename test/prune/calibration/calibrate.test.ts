import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import { ArtifactError } from "../../../model/errors.ts";
import type { ModelWeights } from "../../../model/weights/config.ts";
import { calibrate, type CalibrationOptions } from "../../../prune/calibration/calibrate.ts";
import { CalibrationError } from "../../../prune/errors.ts";
import { mergeShards, type Profile, readProfile } from "../../../prune/calibration/profile.ts";
import type { ModuleStatistics } from "../../../prune/calibration/statistics.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyFamilies } from "../../helpers/tiny-families.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const exact: CalibrationOptions = {
  recipe: { format: "f32", withComoment: true },
  numThreads: 1,
};

function randomSequences(lengths: readonly number[]): Uint32Array[] {
  return lengths.map((length, sequence) =>
    Uint32Array.from({ length }, (_, i) => (i * i * 7 + i * 31 + sequence * 101) % 256),
  );
}

const sequences = randomSequences([40, 3, 600, 25, 1, 130, 77, 64]);
const weights = tinyModel();
const middleLayers = [2];
const roles = { attention: "output", mlp: "down" } as const;

/** The statistics as they are defined, from all activations at once. */
function plainStatistics(
  model: ModelWeights,
  texts: readonly Uint32Array[],
  layer: number,
  role: "output" | "down",
) {
  const { hiddenSize } = model.config;
  const rows: Float32Array[] = [];
  const tokenWeights: number[] = [];
  for (const ids of texts) {
    plainForward(model, ids, {
      observe: (at, atRole, input, residual) => {
        if (at !== layer || atRole !== role) return;
        const size = input.length / ids.length;
        for (let token = 0; token < ids.length; token++) {
          rows.push(input.slice(token * size, (token + 1) * size));
          const state = residual.subarray(token * hiddenSize, (token + 1) * hiddenSize);
          tokenWeights.push(hiddenSize / state.reduce((sum, x) => sum + x * x, 0));
        }
      },
    });
  }
  const size = rows[0]!.length;
  const dimensions = Array.from({ length: size }, (_, j) => j);
  const mean = dimensions.map((j) => rows.reduce((sum, x) => sum + x[j]!, 0) / rows.length);
  const variance = dimensions.map(
    (j) => rows.reduce((sum, x) => sum + (x[j]! - mean[j]!) ** 2, 0) / rows.length,
  );
  const weight = tokenWeights.reduce((a, b) => a + b);
  const weightedMean = dimensions.map(
    (j) => rows.reduce((sum, x, token) => sum + tokenWeights[token]! * x[j]!, 0) / weight,
  );
  const matrix = dimensions.flatMap((i) =>
    dimensions.slice(0, i + 1).map((j) =>
      rows.reduce((sum, x, token) => {
        const product = (x[i]! - weightedMean[i]!) * (x[j]! - weightedMean[j]!);
        return sum + tokenWeights[token]! * product;
      }, 0),
    ),
  );
  return { count: rows.length, mean, variance, weight, weightedMean, matrix };
}

/** Largest difference in units of the largest expected magnitude. */
function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const pairs = Array.from(expected, (value, index) => Math.abs(actual[index]! - value));
  return Math.max(...pairs) / Math.max(...Array.from(expected, Math.abs));
}

function modulesOf(profile: Profile): ModuleStatistics[] {
  return middleLayers.flatMap(
    (layer) => Object.values(profile.readLayer(layer)) as ModuleStatistics[],
  );
}

function contentOf(dir: string, profile: Profile): Record<string, Buffer> {
  const folder = join(dir, profile.key);
  return Object.fromEntries(
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]),
  );
}

test("statistics equal those of the activations of the plain forward pass", async (t) => {
  const profile = await calibrate(weights, sequences, new ArtifactStore(tempDir(t)), exact);
  t.like(profile.info, { firstLayer: 2, numLayers: 1, corpus: { numTokens: 940 } });
  for (const layer of middleLayers) {
    for (const [name, role] of Object.entries(roles)) {
      const actual = profile.readLayer(layer)[name as keyof typeof roles];
      const expected = plainStatistics(weights, sequences, layer, role);
      t.is(actual.count, expected.count);
      t.true(relativeError(actual.mean, expected.mean) < 1e-5);
      t.true(relativeError(actual.variance(), expected.variance) < 1e-5);
      const comoment = actual.comoment!;
      t.true(relativeError([comoment.weight], [expected.weight]) < 1e-5);
      t.true(relativeError(comoment.mean, expected.weightedMean) < 1e-5);
      t.is(comoment.matrix.length, expected.matrix.length);
      t.true(relativeError(comoment.matrix, expected.matrix) < 1e-5);
    }
  }
});

for (const [name, { model }] of Object.entries(tinyFamilies)) {
  test(`${name}: statistics equal those of the activations of the plain forward pass`, async (t) => {
    const family = tinyModel(model);
    const texts = randomSequences([40, 3, 130, 25]);
    const profile = await calibrate(family, texts, new ArtifactStore(tempDir(t)), exact);
    const { firstLayer, numLayers } = profile.info;
    for (let layer = firstLayer; layer < firstLayer + numLayers; layer++) {
      for (const [module, role] of Object.entries(roles)) {
        const actual = profile.readLayer(layer)[module as keyof typeof roles];
        const expected = plainStatistics(family, texts, layer, role);
        t.is(actual.count, expected.count);
        t.true(relativeError(actual.mean, expected.mean) < 1e-4);
        t.true(relativeError(actual.variance(), expected.variance) < 1e-4);
        t.true(relativeError(actual.comoment!.matrix, expected.matrix) < 1e-4);
      }
    }
  });
}

test("8-bit weights give nearly the same statistics, and none but those asked for", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  const float = await calibrate(weights, sequences, store, exact);
  const served = await calibrate(weights, sequences, store, {
    ...exact,
    recipe: { format: "q8", withComoment: false },
  });
  t.not(served.key, float.key);
  for (const [index, module] of modulesOf(served).entries()) {
    t.is(module.comoment, null);
    t.true(relativeError(module.variance(), modulesOf(float)[index]!.variance()) < 0.05);
  }
});

test("merged shards equal one run over the whole corpus", async (t) => {
  const whole = await calibrate(weights, sequences, new ArtifactStore(tempDir(t)), exact);
  const store = new ArtifactStore(tempDir(t));
  const shards: Profile[] = [];
  for (const index of [2, 0, 1]) {
    shards.push(
      await calibrate(weights, sequences, store, { ...exact, shard: { index, count: 3 } }),
    );
  }
  const merged = await mergeShards(store, shards);
  t.is(merged.key, whole.key);
  t.deepEqual(merged.info, whole.info);
  for (const [index, expected] of modulesOf(whole).entries()) {
    const actual = modulesOf(merged)[index]!;
    t.is(actual.count, expected.count);
    t.true(relativeError(actual.mean, expected.mean) < 1e-6);
    t.true(relativeError(actual.variance(), expected.variance()) < 1e-6);
    t.true(relativeError(actual.comoment!.mean, expected.comoment!.mean) < 1e-6);
    t.true(relativeError(actual.comoment!.matrix, expected.comoment!.matrix) < 1e-6);
  }
});

test("only all shards of one run can be merged", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  const shard = (index: number, count: number, corpus = sequences) =>
    calibrate(weights, corpus, store, { ...exact, shard: { index, count } });
  const refused = async (shards: readonly Profile[], message: RegExp): Promise<void> => {
    await t.throwsAsync(mergeShards(store, shards), { instanceOf: CalibrationError, message });
  };
  const [first, second] = [await shard(0, 2), await shard(1, 2)];
  await refused([], /No shards/);
  await refused([first], /Shard 2\/2 is missing/);
  await refused([first, first], /each of 2 shards once, got shard 1\/2/);
  await refused([first, await shard(1, 3)], /each of 2 shards once, got shard 2\/3/);
  await refused([first, await shard(1, 2, sequences.slice(1))], /different runs: corpus is/);
  await refused([await mergeShards(store, [first, second]), first], /no shard/);
});

test("a run that was cut short goes on where it was and ends with the same bytes", async (t) => {
  const deep = tinyModel({ numLayers: 9 }); // 5 in the middle
  const corpus = [...sequences, ...sequences, ...sequences, ...sequences]; // two batches
  const layerTokens = 4 * 940;
  const options = { ...exact, checkpointSeconds: 0 };
  const wholeDir = tempDir(t);
  const whole = await calibrate(deep, corpus, new ArtifactStore(wholeDir), options);
  const dir = tempDir(t);
  const store = new ArtifactStore(dir);
  const firstLayers: number[] = [];
  // At the end of a layer, inside one, at the end of the last but one.
  for (const stopAt of [layerTokens, 2 * layerTokens + 1, 4 * layerTokens, Infinity]) {
    const abort = new AbortController();
    const steps: number[] = [];
    const run = calibrate(deep, corpus, store, {
      ...options,
      signal: abort.signal,
      onProgress: (done, total) => {
        t.is(total, 5 * layerTokens);
        steps.push(done);
        if (done >= stopAt) abort.abort(new Error("enough"));
      },
    });
    if (stopAt === Infinity) await run;
    else await t.throwsAsync(run, { message: "enough" });
    firstLayers.push(Math.floor(steps[0]! / layerTokens));
  }
  t.deepEqual(firstLayers, [0, 1, 2, 4]);
  t.deepEqual(contentOf(dir, whole), contentOf(wholeDir, whole));
  t.deepEqual(await store.keys(), [whole.key]);
});

test("a finished profile is not computed again unless it is damaged", async (t) => {
  const dir = tempDir(t);
  const store = new ArtifactStore(dir);
  const lines: string[] = [];
  let batches = 0;
  const run = () =>
    calibrate(weights, sequences, store, {
      ...exact,
      onProgress: () => (batches += 1),
      log: (line) => lines.push(line),
    });
  const { key } = await run();
  const once = batches;
  await run();
  t.is(batches, once);
  const path = join(dir, key, "layer-2.safetensors");
  const content = readFileSync(path);
  content[content.length - 5]! ^= 1;
  writeFileSync(path, content);
  await t.throwsAsync(readProfile(store, key), { instanceOf: ArtifactError });
  await run();
  t.is(batches, 2 * once);
  t.regex(lines.join("\n"), /layer-2\.safetensors: has SHA-256 .*: calibrating again/);
  t.not(await readProfile(store, key), null);
});

test("a corpus that the model cannot read is refused", async (t) => {
  const dir = join(tempDir(t), "store");
  const store = new ArtifactStore(dir);
  const refused = async (
    corpus: readonly Uint32Array[],
    options: CalibrationOptions,
    message: RegExp,
  ): Promise<void> => {
    await t.throwsAsync(calibrate(weights, corpus, store, options), {
      instanceOf: CalibrationError,
      message,
    });
  };
  await refused([], exact, /no tokens to calibrate with/);
  await refused([sequences[0]!], { ...exact, shard: { index: 1, count: 2 } }, /in shard 2\/2/);
  await refused([new Uint32Array(2049)], exact, /Sequence 0 has 2049 tokens, expected at most/);
  t.false(existsSync(dir));
});
