import test from "ava";
import type { ExecutionContext } from "ava";
import { CancelledError } from "../../../engine/contract/errors.ts";
import type { FinishEvent } from "../../../engine/contract/request.ts";
import { SequenceRouting } from "../../../engine/sequence/routing.ts";
import type { RoutingRequest } from "../../../engine/contract/routing.ts";
import { FeaturePool, numTrunkFeatures } from "../../../router/features.ts";
import { createPromptRouter } from "../../../router/prompt-router.ts";
import type { PromptRouter } from "../../../router/prompt-router.ts";
import { wholePrompt } from "../../../router/prompt-spans.ts";
import type { PromptSpans } from "../../../router/prompt-spans.ts";
import type { Decision, Router } from "../../../router/router.ts";
import { loadModel, LoopRun } from "../../helpers/loop-run.ts";
import type { LoadedStages, LoopOptions } from "../../helpers/loop-run.ts";
import { requestFor, somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const weights = tinyModel();
const { hiddenSize } = weights.config;

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
  nearest: [],
};

/** Decides as it is told, and keeps the features that it was to decide by. */
class WatchedRouter implements Router {
  readonly kind = "clusters";
  readonly featureKind = "trunk";
  readonly numFeatures = numTrunkFeatures(hiddenSize);
  readonly tasks = ["code", "math"];
  readonly model = null;
  readonly seen: Float32Array[] = [];
  readonly #decision: Decision;

  constructor(changes: Partial<Decision> = {}) {
    this.#decision = { ...decision, ...changes };
  }

  route(features: Float32Array): Decision {
    this.seen.push(features);
    return this.#decision;
  }

  forPrompts(): PromptRouter {
    return createPromptRouter(this, hiddenSize);
  }
}

const spans: PromptSpans = {
  question: { start: 60, end: 95 },
  previous: { start: 10, end: 31 },
};

/** Runs one prompt of 100 tokens and gives its features and route. */
async function route(
  loaded: LoadedStages,
  routing: RoutingRequest = { spans },
  router = new WatchedRouter(),
  options: LoopOptions = {},
) {
  const run = new LoopRun(loaded, options);
  run.loop.useRouter(router.forPrompts());
  run.add(requestFor("a", somePrompt(100), { maxTokens: 2, routing }));
  await run.runToEnd();
  const { routes, error } = run.answer("a");
  if (error) throw error;
  return { route: routes[0]!, numRoutes: routes.length, features: router.seen };
}

/** The trunk's output of all tokens at once, added up. */
async function pooled({ device, stages }: LoadedStages): Promise<Float32Array> {
  const [kv] = await device.openKv([stages.trunk], 100);
  const input = Uint32Array.from(somePrompt(100));
  const [hidden] = await device.createPass().forward([stages.trunk], [{ kv: kv!, input }]);
  const pool = new FeaturePool(hiddenSize, spans);
  pool.add(await device.readRows(hidden!));
  hidden!.dispose();
  kv!.release();
  return pool.features();
}

// Attention sums in another order where chunks end elsewhere, which 8-bit activations then enlarge.
for (const [format, tolerance] of [
  ["f32", 1e-4],
  ["q8", 0.1],
] as const) {
  test(`${format}: what is decided on is the trunk's output of the prompt, in chunks of any size`, async (t) => {
    const loaded = await loadModel(t, weights, format);
    const expected = await pooled(loaded);
    const decidedOn = async (prefillChunk: number) => {
      const { features } = await route(loaded, { spans }, new WatchedRouter(), { prefillChunk });
      t.is(features.length, 1);
      return features[0]!;
    };
    t.deepEqual(await decidedOn(200), expected);
    for (const prefillChunk of [1, 7, 32, 64]) {
      const features = await decidedOn(prefillChunk);
      const difference = Math.max(...features.map((value, i) => Math.abs(value - expected[i]!)));
      t.true(difference < tolerance, `chunks of ${prefillChunk}: ${difference}`);
      t.deepEqual(await decidedOn(prefillChunk), features);
    }
  });
}

test("a route comes once, before the first token, and says which middle serves", async (t) => {
  const loaded = await loadModel(t, weights, "q8");
  const { route: routed, numRoutes } = await route(loaded);
  t.is(numRoutes, 1);
  const { type, task, expert, confidence, reason, seconds } = routed;
  t.deepEqual(
    { type, task, expert, confidence, reason },
    { type: "routed", task: "math", expert: "dense", confidence: 0.75, reason: "matched" },
  );
  t.true(seconds > 0);
});

test("neighbours, cancelled or not, do not change what is decided on", async (t) => {
  const loaded = await loadModel(t, weights, "q8");
  const {
    features: [expected],
  } = await route(loaded);
  const router = new WatchedRouter();
  const run = new LoopRun(loaded);
  run.loop.useRouter(router.forPrompts());
  const routing = { spans: wholePrompt(90) };
  for (const [i, id] of ["x", "y", "z"].entries()) {
    run.add(requestFor(id, somePrompt(90, i + 2), { maxTokens: 40, routing }));
  }
  await run.step(6);
  run.add(requestFor("a", somePrompt(100), { maxTokens: 4, routing: { spans } }));
  run.loop.cancel("z");
  await run.runToEnd();
  t.deepEqual(router.seen.at(-1), expected);
  t.is(router.seen.length, 3);
  t.true(run.answer("z").error instanceof CancelledError);
  t.deepEqual(run.answer("z").routes, []);
});

test("all choices of a prompt get the same route", async (t) => {
  const loaded = await loadModel(t, weights, "q8");
  const router = new WatchedRouter();
  const run = new LoopRun(loaded);
  run.loop.useRouter(router.forPrompts());
  for (const id of ["a", "b", "c"]) {
    const sampling = { temperature: 1, seed: id.codePointAt(0)! };
    run.add(requestFor(id, somePrompt(100), { sampling, routing: { spans } }));
  }
  await run.runToEnd();
  t.is(router.seen.length, 3);
  t.deepEqual(router.seen[1], router.seen[0]);
  t.deepEqual(router.seen[2], router.seen[0]);
});

test("a preempted sequence keeps its route", async (t) => {
  const loaded = await loadModel(t, weights, "q8");
  const router = new WatchedRouter();
  const run = new LoopRun(loaded, { kvPositions: 256 });
  run.loop.useRouter(router.forPrompts());
  for (const [i, id] of ["a", "b", "c"].entries()) {
    const routing = { spans: wholePrompt(40) };
    run.add(requestFor(id, somePrompt(40, i), { maxTokens: 60, routing }));
  }
  let numPreempted = 0;
  let before: string[] = [];
  while (!run.loop.isIdle) {
    await run.step();
    const now = run.runningIds();
    const isGone = (id: string) => !now.includes(id) && run.answer(id).finish === null;
    numPreempted += before.filter(isGone).length;
    before = now;
  }
  t.true(numPreempted > 0);
  t.is(router.seen.length, 3);
  for (const id of ["a", "b", "c"]) t.is(run.answer(id).routes.length, 1);
});

test("a prompt whose prefill was taken back is read again from its beginning", (t) => {
  const router = new WatchedRouter();
  const prompts = router.forPrompts();
  const rows = (value: number) => new Float32Array(4 * hiddenSize).fill(value);
  const decide = (takenBack: boolean) => {
    const run = sequenceRouting({ spans: wholePrompt(8) }, prompts);
    run.begin();
    if (takenBack) {
      run.add(rows(9));
      run.begin();
    }
    run.add(rows(1));
    t.true(run.isReading);
    run.add(rows(2));
    t.false(run.isReading);
    run.decide();
    return router.seen.at(-1);
  };
  t.deepEqual(decide(true), decide(false));
});

test("a request that came before the router stays without a task, one after it has one", async (t) => {
  const loaded = await loadModel(t, weights, "q8");
  const run = new LoopRun(loaded);
  run.add(requestFor("before", somePrompt(100), { routing: { spans } }));
  run.loop.useRouter(new WatchedRouter().forPrompts());
  run.add(requestFor("after", somePrompt(100), { routing: { spans } }));
  await run.runToEnd();
  t.like(run.answer("before").routes[0], { task: null, confidence: 0, reason: "no-router" });
  t.like(run.answer("after").routes[0], { task: "math", reason: "matched" });
});

test("a prompt that is in the prefix cache is routed by the same numbers", async (t) => {
  const loaded = await loadModel(t, weights, "q8");
  const run = new LoopRun(loaded, { prefixCacheBytes: 2 ** 24 });
  const router = new WatchedRouter();
  run.loop.useRouter(router.forPrompts());
  for (const id of ["a", "b"]) {
    const request = requestFor(id, somePrompt(100), { maxTokens: 4, routing: { spans } });
    run.add({ ...request, cacheSalt: "" });
    await run.runToEnd();
  }
  const cached = ["a", "b"].map((id) => (run.answer(id).finish as FinishEvent).cachedTokens);
  t.deepEqual(cached, [0, 96]);
  t.is(run.text("b"), run.text("a"));
  const [first, second] = router.seen;
  t.deepEqual(second, first);
});

test("a request that asks for no routing gets none", async (t) => {
  const run = new LoopRun(await loadModel(t, weights, "q8"));
  const router = new WatchedRouter();
  run.loop.useRouter(router.forPrompts());
  run.add(requestFor("a", somePrompt(100)));
  await run.runToEnd();
  t.deepEqual(run.answer("a").routes, []);
  t.is(router.seen.length, 0);
});

test("a router that fails costs the request, and nobody else", async (t) => {
  const run = new LoopRun(await loadModel(t, weights, "q8"));
  const router = new WatchedRouter();
  router.route = () => {
    throw new RangeError("not so");
  };
  run.loop.useRouter(router.forPrompts());
  run.add(requestFor("a", somePrompt(100), { routing: { spans } }));
  run.add(requestFor("b", somePrompt(100)));
  await run.runToEnd();
  t.regex(run.answer("a").error!.message, /not so/);
  t.is(run.answer("b").error, null);
});

test("an assigned task needs no router and looks at nothing", (t) => {
  const router = new WatchedRouter();
  const assigned = { task: "code", reason: "rule" } as const;
  for (const prompts of [null, router.forPrompts()]) {
    const run = sequenceRouting({ spans: wholePrompt(8), assigned }, prompts);
    run.begin();
    t.false(run.isReading);
    run.decide();
    t.deepEqual(run.route, { task: "code", confidence: 1, reason: "rule" });
  }
  t.is(router.seen.length, 0);
});

test("D55: a conversation keeps its task until a prompt speaks clearly for another", (t) => {
  const decided = (task: string | null, margin: number, changes: Partial<Decision> = {}) =>
    decideWith(t, { task, margin }, changes);
  t.deepEqual(decided("code", 2), { task: "code", confidence: 0.2, reason: "sticky" });
  t.deepEqual(decided("code", 1.5), { task: "math", confidence: 0.75, reason: "matched" });
  t.deepEqual(decided("math", 2), { task: "math", confidence: 0.75, reason: "matched" });
  t.deepEqual(decided(null, 2), { task: null, confidence: 0.75, reason: "sticky" });
  const strange = { task: null, reason: "out-of-distribution", margin: 9 } as const;
  t.like(decided("code", 2, strange), { task: "code", reason: "sticky" });
  t.like(decided(null, 2, strange), { task: null, reason: "out-of-distribution" });
});

function decideWith(
  t: ExecutionContext,
  sticky: { readonly task: string | null; readonly margin: number },
  changes: Partial<Decision>,
) {
  const prompts = new WatchedRouter(changes).forPrompts();
  const run = sequenceRouting({ spans: wholePrompt(1), sticky }, prompts);
  run.begin();
  run.add(new Float32Array(hiddenSize));
  run.decide();
  t.truthy(run.route);
  return run.route!;
}

function sequenceRouting(request: RoutingRequest, router: PromptRouter | null): SequenceRouting {
  let now = 0;
  return new SequenceRouting(request, router, () => ++now);
}
