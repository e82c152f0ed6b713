import { createHash } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import type { Device } from "../../../engine/device/device.ts";
import { EngineStoppedError, InferenceError } from "../../../engine/contract/errors.ts";
import { ExpertLoader } from "../../../engine/experts/expert-loader.ts";
import type { ExpertLoaderOptions } from "../../../engine/experts/expert-loader.ts";
import type { BuiltExpert } from "../../../engine/contract/experts.ts";
import { ModelRunner } from "../../../engine/run/model-runner.ts";
import { StepTimer } from "../../../engine/experts/step-timer.ts";
import { Turnstile } from "../../../engine/experts/turnstile.ts";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import { ArtifactError } from "../../../model/errors.ts";
import { expertArtifact } from "../../../model/experts/expert-artifact.ts";
import { totalBytes } from "../../../model/stages/model-stages.ts";
import { builtOf } from "../../helpers/fake-experts.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";
import { loadModel } from "../../helpers/loop-run.ts";
import { expertModel, loadExperts, tinyPlan, tinySegments } from "../../helpers/made-up-experts.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { WatchedDevice } from "../../helpers/watched-device.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const weights = tinyModel(expertModel);
const plan = tinyPlan(weights, "code", 0);

async function stored(t: ExecutionContext): Promise<BuiltExpert> {
  const storeDir = tempDir(t);
  const key = createHash("sha256").update("code").digest("hex").slice(0, 16);
  const segments = tinySegments(weights, "q8", plan);
  const { metadata, files } = expertArtifact({ plan, segments });
  await new ArtifactStore(storeDir).write(key, metadata, files);
  return { ...builtOf(key, totalBytes(segments)), storeDir };
}

async function setUp(
  t: ExecutionContext,
  changes: Partial<ExpertLoaderOptions> = {},
  change: (device: Device) => Device = (device) => device,
) {
  const loaded = await loadModel(t, weights, "q8");
  const device = change(loaded.device);
  const runner = new ModelRunner({ device, stages: loaded.stages, prefillChunk: 32 });
  const turnstile = new Turnstile(() => undefined);
  let ms = 0;
  const timer = new StepTimer({ device, turnstile, trunk: loaded.stages.trunk, now: () => ++ms });
  const released: string[] = [];
  const onRelease = (name: string) => released.push(name);
  const loader = new ExpertLoader({ device, runner, timer, turnstile, onRelease, ...changes });
  const baseBytes = loaded.device.weightBytes;
  return { ...loaded, runner, turnstile, timer, loader, released, baseBytes };
}

async function logitsOn(runner: ModelRunner, middle: string): Promise<Float32Array> {
  const tokens = new GivenTokens(somePrompt(40));
  for (;;) {
    const step = await runner.prefill(tokens);
    if (runner.needsMiddle(tokens)) await runner.setMiddle(tokens, middle);
    if (step.kind !== "logits") continue;
    runner.release(tokens);
    return step.logits;
  }
}

test("an expert comes from the disk into the runner and leaves again", async (t) => {
  const built = await stored(t);
  const setting = await setUp(t);
  const { loader, runner, device, baseBytes } = setting;
  const handle = await loader.load(built, "code");
  t.is(device.weightBytes - baseBytes, built.sizeBytes);
  t.is(device.kvBytes, 0);
  t.true(handle.cost.fixedSeconds >= 0 && handle.cost.perRowSeconds >= 0);
  const [segments] = (await loadExperts(t, setting, "q8", ["code"])).values();
  runner.addMiddle("same", segments!);
  t.deepEqual(await logitsOn(runner, "code"), await logitsOn(runner, "same"));
  for (const stage of segments!) await stage.dispose();
  await handle.release();
  t.deepEqual(setting.released, ["code"]);
  t.is(device.weightBytes, baseBytes);
  t.throws(() => runner.removeMiddle("code"), { message: /no middle/ });
});

test("segments are loaded, measured and released one a turn", async (t) => {
  const built = await stored(t);
  const { loader, turnstile, device, baseBytes } = await setUp(t);
  turnstile.close();
  const sizes: number[] = [];
  const turns = async (settles: Promise<unknown>): Promise<number> => {
    let isSettled = false;
    void settles.finally(() => (isSettled = true));
    for (let numTurns = 0; ;) {
      if (turnstile.hasJobs) {
        await turnstile.next();
        numTurns++;
        if (device.weightBytes !== sizes.at(-1)) sizes.push(device.weightBytes);
      }
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (isSettled) return numTurns;
    }
  };
  const loading = loader.load(built, "code");
  // 3 segments, and 4 runs of each of two steps
  t.is(await turns(loading), 3 + 8);
  t.is(sizes.length, 3);
  // Out of the runner, then each segment.
  t.is(await turns((await loading).release()), 1 + 3);
  t.is(sizes.length, 6);
  t.is(device.weightBytes, baseBytes);
});

test("an artifact that is damaged, gone or of another release is an ArtifactError", async (t) => {
  const { loader, device, baseBytes } = await setUp(t);
  const damaged = await stored(t);
  const path = join(damaged.storeDir, damaged.key, "weights-1.bin");
  writeFileSync(path, "nothing");
  const error = await t.throwsAsync(loader.load(damaged, "code"), { instanceOf: ArtifactError });
  t.regex(error.message, /damaged/);
  rmSync(join(damaged.storeDir, damaged.key), { recursive: true });
  await t.throwsAsync(loader.load(damaged, "code"), { instanceOf: ArtifactError, message: /gone/ });
  await new ArtifactStore(damaged.storeDir).write("other", { schemaVersion: 0 }, []);
  await t.throwsAsync(loader.load({ ...damaged, key: "other" }, "code"), {
    instanceOf: ArtifactError,
    message: /no expert of this release/,
  });
  t.is(device.weightBytes, baseBytes);
});

test("where memory ends in the middle of a load, nothing of it is kept", async (t) => {
  let numLoads = 0;
  const change = (device: Device): Device =>
    new WatchedDevice(device, {
      beforeLoad: () => {
        if (++numLoads !== 3) return;
        throw new InferenceError("Stage code.2 could not be loaded: bad_alloc");
      },
    });
  const { loader, device, baseBytes, runner } = await setUp(t, {}, change);
  const built = await stored(t);
  await t.throwsAsync(loader.load(built, "code"), {
    instanceOf: InferenceError,
    message: /bad_alloc/,
  });
  t.is(device.weightBytes, baseBytes);
  t.throws(() => runner.removeMiddle("code"), { message: /no middle/ });
  await t.notThrowsAsync((await loader.load(built, "code")).release());
});

test("closing gives up what is being read and what is being loaded", async (t) => {
  const built = await stored(t);
  const reading = await setUp(t);
  const read = reading.loader.load(built, "code");
  reading.loader.close();
  await t.throwsAsync(read, { instanceOf: EngineStoppedError });
  await t.throwsAsync(reading.loader.load(built, "code"), { instanceOf: EngineStoppedError });

  const segments = tinySegments(weights, "q8", plan);
  const loading = await setUp(t, { read: () => Promise.resolve(segments) });
  loading.turnstile.close();
  const load = loading.loader.load(built, "code");
  while (!loading.turnstile.hasJobs) await Promise.resolve();
  await loading.turnstile.next();
  loading.loader.close();
  const failed = t.throwsAsync(load, { instanceOf: EngineStoppedError });
  await loading.turnstile.open();
  await failed;
  t.is(loading.device.weightBytes, loading.baseBytes);
});

test("a step's cost is a line through the fastest steps of one and four rows", async (t) => {
  const loaded = await loadModel(t, weights, "q8");
  const { stages } = loaded;
  let now = 0;
  const seconds = { 1: [9, 0.5, 0.2, 0.4], 4: [9, 0.8, 0.9, 0.7] };
  const device = new WatchedDevice(loaded.device, {
    beforePass: ([stage], numSequences) => {
      if (stage !== stages.trunk) now += 1000 * seconds[numSequences as 1 | 4].shift()!;
    },
  });
  const turnstile = new Turnstile(() => undefined);
  const timer = new StepTimer({ device, turnstile, trunk: stages.trunk, now: () => now });
  const { fixedSeconds, perRowSeconds } = await timer.measure(stages.middle);
  t.true(Math.abs(perRowSeconds - 0.5 / 3) < 1e-9);
  t.true(Math.abs(fixedSeconds - (0.2 - 0.5 / 3)) < 1e-9);
  t.is(device.kvBytes, 0);
});
