import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import test from "ava";
import type { ExecutionContext } from "ava";
import { ExpertLoader } from "../../../engine/experts/expert-loader.ts";
import type { BuiltExpert } from "../../../engine/contract/experts.ts";
import { ModelRunner } from "../../../engine/run/model-runner.ts";
import { StepTimer } from "../../../engine/experts/step-timer.ts";
import { Turnstile } from "../../../engine/experts/turnstile.ts";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import type { ModelWeights } from "../../../model/weights/config.ts";
import { expertArtifact } from "../../../model/experts/expert-artifact.ts";
import { createExpertPlan, planShapes } from "../../../model/experts/expert-plan.ts";
import {
  buildMiddleSegments,
  stageBorders,
  totalBytes,
} from "../../../model/stages/model-stages.ts";
import { prunedWeights } from "../../../model/experts/pruned-weights.ts";
import { builtOf } from "../../helpers/fake-experts.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";
import { loadModel } from "../../helpers/loop-run.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

/** What JavaScript holds and does not need is no leak. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

/** An expert of some megabytes, so that those that were not freed would be seen. */
async function storedExpert(t: ExecutionContext, weights: ModelWeights): Promise<BuiltExpert> {
  const { middle, head } = stageBorders(weights.config);
  const range = (length: number) => Array.from({ length }, (_, i) => i);
  const layers = range(head - middle).map(() => ({
    ...{ keptHeads: range(4), keptKvHeads: range(2), keptChannels: range(768) },
  }));
  const plan = createExpertPlan(weights, { task: "code", recipe: {}, layers });
  const options = { name: "code", shapes: planShapes(plan), maxSegmentBytes: 1 };
  const segments = buildMiddleSegments(prunedWeights(weights, plan), "q8", options);
  const { metadata, files } = expertArtifact({ plan, segments });
  const store = new ArtifactStore(tempDir(t));
  const { key } = await store.write("expert-code", metadata, files);
  return { ...builtOf(key, totalBytes(segments)), storeDir: store.dir };
}

async function prefillOn(runner: ModelRunner, middle: string): Promise<void> {
  const tokens = new GivenTokens(somePrompt(40));
  for (;;) {
    const logits = await runner.prefill(tokens);
    if (runner.needsMiddle(tokens)) await runner.setMiddle(tokens, middle);
    if (logits) break;
  }
  runner.release(tokens);
}

test("D51: fifty times loaded, used and evicted, an expert leaves no memory behind", async (t) => {
  t.timeout(180_000);
  const weights = tinyModel({
    ...{ numLayers: 7, hiddenSize: 256, headDim: 64, intermediateSize: 1024 },
  });
  const { device, stages } = await loadModel(t, weights, "q8");
  const runner = new ModelRunner({ device, stages, prefillChunk: 64 });
  const turnstile = new Turnstile(() => undefined);
  const timer = new StepTimer({
    ...{ device, turnstile, trunk: stages.trunk },
    now: () => performance.now(),
  });
  const onRelease = () => undefined;
  const loader = new ExpertLoader({ device, runner, timer, turnstile, onRelease });
  const built = await storedExpert(t, weights);
  const baseBytes = device.weightBytes;

  const residentBytes: number[] = [];
  for (let cycle = 0; cycle < 50; cycle++) {
    const handle = await loader.load(built, "code");
    t.is(device.weightBytes, baseBytes + built.sizeBytes);
    await prefillOn(runner, "code");
    await handle.release();
    t.is(device.weightBytes, baseBytes);
    t.is(device.kvBytes, 0);
    collectGarbage();
    residentBytes.push(process.memoryUsage.rss());
  }
  // What was free for a moment in each ten; in the first, allocators take what they keep.
  const [before, after] = [residentBytes.slice(10, 20), residentBytes.slice(40)].map((sizes) =>
    Math.min(...sizes),
  ) as [number, number];
  const leaked = 30 * built.sizeBytes;
  const message = `${after - before} bytes more after 30 cycles of ${built.sizeBytes}`;
  t.log(message);
  t.true(after - before < leaked / 2, message);
});
