import test from "ava";
import { CancelledError } from "../../../engine/contract/errors.ts";
import type { FinishEvent, GenerateRequest, Reading } from "../../../engine/contract/request.ts";
import { createPromptRouter } from "../../../router/prompt-router.ts";
import { numTrunkFeatures } from "../../../router/features.ts";
import { wholePrompt } from "../../../router/prompt-spans.ts";
import type { Decision, Router } from "../../../router/router.ts";
import { LoopRun, loadModel } from "../../helpers/loop-run.ts";
import { plainHidden } from "../../helpers/plain-forward.ts";
import { requestFor, somePrompt } from "../../helpers/requests.ts";
import { WatchedDevice } from "../../helpers/watched-device.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const weights = tinyModel();
const { hiddenSize } = weights.config;

function readingRequest(
  id: string,
  kind: Reading["kind"],
  promptTokenIds: readonly number[],
): GenerateRequest {
  const routing = { spans: wholePrompt(promptTokenIds.length) };
  return { ...requestFor(id, promptTokenIds, { maxTokens: 0, routing }), reading: kind };
}

function readingOf(run: LoopRun, id: string): Reading {
  const { error, finish } = run.answer(id);
  if (error) throw error;
  return (finish as FinishEvent).reading!;
}

function embeddingOf(run: LoopRun, id: string): Float32Array {
  const reading = readingOf(run, id);
  if (reading.kind !== "embedding") throw new Error(`not an embedding: ${reading.kind}`);
  return reading.embedding;
}

function plainEmbedding(tokenIds: readonly number[]): Float32Array {
  const hidden = plainHidden(weights, tokenIds);
  const sum = Array.from({ length: hiddenSize }, (_, i) =>
    tokenIds.reduce((total, _, token) => total + hidden[token * hiddenSize + i]!, 0),
  );
  const length = Math.hypot(...sum);
  return Float32Array.from(sum, (value) => value / length);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

test("an embedding is the mean of what the last norm takes of the prompt, made 1 long", async (t) => {
  const loaded = await loadModel(t, weights, "f32");
  for (const length of [1, 31, 32, 33, 100]) {
    const run = new LoopRun(loaded);
    const prompt = somePrompt(length);
    run.add(readingRequest("a", "embedding", prompt));
    await run.runToEnd();
    const embedding = embeddingOf(run, "a");
    t.is(embedding.length, hiddenSize);
    t.true(largestDifference(embedding, plainEmbedding(prompt)) < 1e-5);
    t.like(run.answer("a"), { text: "", numTokens: 0, routes: [] });
    t.like(run.answer("a").finish, { promptTokens: length, completionTokens: 0 });
    t.is(run.loop.kvCacheUsage, 0);
  }
});

test("an embedding is the same bits beside answers, and they are the same beside it", async (t) => {
  const loaded = await loadModel(t, weights, "q8");
  const alone = new LoopRun(loaded);
  alone.add(readingRequest("a", "embedding", somePrompt(90)));
  alone.add(requestFor("b", somePrompt(40, 2)));
  await alone.runToEnd();
  const together = new LoopRun(loaded, { kvPositions: 320 });
  together.add(requestFor("b", somePrompt(40, 2)));
  for (const id of ["a", "c", "d"]) together.add(readingRequest(id, "embedding", somePrompt(90)));
  together.add(requestFor("e", somePrompt(70, 3)));
  await together.runToEnd();
  for (const id of ["a", "c", "d"]) {
    t.deepEqual(embeddingOf(together, id), embeddingOf(alone, "a"));
  }
  t.is(together.text("b"), alone.text("b"));
});

const decision: Decision = {
  task: "math",
  confidence: 0.75,
  reason: "matched",
  margin: 1.5,
  strangeness: 1,
  threshold: 2,
  scores: [
    { task: "math", probability: 0.8 },
    { task: "code", probability: 0.2 },
  ],
  nearest: [{ task: "math", cluster: 1, distance: 0.9 }],
};

const router: Router = {
  kind: "clusters",
  featureKind: "trunk",
  numFeatures: numTrunkFeatures(hiddenSize),
  tasks: ["code", "math"],
  model: null,
  route: () => decision,
};

test("a route is told with all that the router thinks, and only the trunk runs", async (t) => {
  const loaded = await loadModel(t, weights, "q8");
  const device = new WatchedDevice(loaded.device, {
    beforePass: (stages) => {
      if (!stages.includes(loaded.stages.trunk)) throw new Error("not to be used");
    },
  });
  const run = new LoopRun({ ...loaded, device });
  run.loop.useRouter(createPromptRouter(router, hiddenSize));
  run.add(readingRequest("a", "route", somePrompt(300)));
  await run.runToEnd();
  t.like(readingOf(run, "a"), {
    kind: "route",
    route: { task: "math", confidence: 0.75, reason: "matched" },
    decision,
  });
  t.like(run.answer("a"), { text: "", routes: [], numStarts: 1 });
  t.like(run.answer("a").finish, { promptTokens: 300, completionTokens: 0, reason: "length" });
  t.is(run.loop.kvCacheUsage, 0);
});

test("without a router nothing was decided, and the request says so", async (t) => {
  const run = new LoopRun(await loadModel(t, weights, "q8"));
  run.add(readingRequest("a", "route", somePrompt(5)));
  await run.runToEnd();
  t.like(readingOf(run, "a"), { route: { task: null, reason: "no-router" }, decision: null });
});

test("a reading can be cancelled between two of its chunks", async (t) => {
  const loaded = await loadModel(t, weights, "q8");
  for (const kind of ["route", "embedding"] as const) {
    const run = new LoopRun(loaded);
    run.add(readingRequest("a", kind, somePrompt(400)));
    await run.step(2);
    t.is(run.answer("a").finish, null);
    run.loop.cancel("a");
    await run.runToEnd();
    t.true(run.answer("a").error instanceof CancelledError);
    t.is(run.loop.kvCacheUsage, 0);
  }
});
