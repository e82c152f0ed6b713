import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import test from "ava";
import type { ExecutionContext } from "ava";
import { startEngine } from "../../../engine/worker/engine.ts";
import {
  EngineStoppedError,
  ExpertCommandError,
  TooManyParkedError,
} from "../../../engine/contract/errors.ts";
import {
  type BuiltExpert,
  denseExpert,
  type ExpertOptions,
} from "../../../engine/contract/experts.ts";
import type { Engine, GenerateEvent, GenerateRequest } from "../../../engine/contract/request.ts";
import type { RoutingRequest } from "../../../engine/contract/routing.ts";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import { ModelLoadError } from "../../../model/errors.ts";
import { expertArtifact } from "../../../model/experts/expert-artifact.ts";
import { buildMiddle, totalBytes } from "../../../model/stages/model-stages.ts";
import { openModel } from "../../../model/weights/open-model.ts";
import { wholePrompt } from "../../../router/prompt-spans.ts";
import { builtOf, FakeBuilder } from "../../helpers/fake-experts.ts";
import { writeGguf } from "../../helpers/gguf-writer.ts";
import { answerAlone, loadModel } from "../../helpers/loop-run.ts";
import { deadly, fragileWorker } from "../../helpers/fragile.ts";
import {
  expertModel,
  loadSegments,
  tinyPlan,
  tinySegments,
} from "../../helpers/made-up-experts.ts";
import { numberedTokens, requestFor, somePrompt } from "../../helpers/requests.ts";
import { ggufMetadata, ggufTensors } from "../../helpers/stored-model.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

// GGUF files of this architecture have interleaved pairs.
const weights = tinyModel({ ...expertModel, ropeInterleaved: true });
const { vocabSize, contextLength } = weights.config;
const tasks = ["code", "math"];

interface Setting {
  readonly engine: Engine;
  readonly builder: FakeBuilder;
  readonly lines: string[];
  /** Puts a task's expert on disk. */
  readonly store: (task: string) => Promise<BuiltExpert>;
}

/** An engine with a builder that does what the test says. */
async function start(t: ExecutionContext, options: Partial<ExpertOptions> = {}): Promise<Setting> {
  const folder = tempDir(t);
  const modelPath = join(folder, "tiny.gguf");
  writeGguf(modelPath, ggufMetadata(weights), ggufTensors(weights));
  const model = (await openModel(modelPath)).weights;
  t.teardown(() => model.close());
  const storeDir = join(folder, "experts");
  const store = async (task: string) => {
    const plan = tinyPlan(model, task, tasks.indexOf(task));
    const segments = tinySegments(model, "q8", plan);
    const { metadata, files } = expertArtifact({ plan, segments });
    await new ArtifactStore(storeDir).write(task, metadata, files);
    return { ...builtOf(task, totalBytes(segments)), storeDir };
  };
  const builder = new FakeBuilder();
  const lines: string[] = [];
  const engine = await startEngine({
    ...{ modelPath, weights: "q8", threads: 1, contextLength, vocabSize, maxBatch: 8 },
    ...{
      prefillChunk: 32,
      kvMemoryBytes: 1 << 24,
      prefixCacheBytes: 0,
      tokenTable: numberedTokens(vocabSize),
    },
    ...{ maxWaitingRequests: 100, maxWaitingTokens: 10_000, worker: fragileWorker },
    onProgress: (line) => lines.push(line),
    experts: {
      builder,
      options: {
        tasks: Object.fromEntries(
          tasks.map((task) => [task, { isServed: true, whileBuilding: "general" }]),
        ),
        ...{ hasGeneral: false, memoryBytes: 1 << 24, policy: "task", preload: [], idleMs: null },
        maxParked: 100,
        shadow: { share: 0, maxKl: 1, minRequests: 1 },
        ...options,
      },
    },
  });
  t.teardown(() => engine.close());
  return { engine, builder, lines, store };
}

function request(id: string, task: string, routing: Partial<RoutingRequest> = {}): GenerateRequest {
  const assigned = { task, reason: "rule" } as const;
  return requestFor(id, somePrompt(40), {
    routing: { spans: wholePrompt(40), assigned, ...routing },
  });
}

async function answer(engine: Engine, one: GenerateRequest) {
  const events: GenerateEvent[] = [];
  for await (const event of engine.generate(one)) events.push(event);
  const text = events.map((event) => ("text" in event ? event.text : "")).join("");
  const routed = events.find((event) => event.type === "routed");
  return { text, expert: routed?.expert, reason: routed?.serveReason };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}

function stateOf(engine: Engine, name: string): string | undefined {
  return engine.experts().find((expert) => expert.name === name)?.state;
}

/** The answer that a task's expert gives. */
async function expected(t: ExecutionContext, task: string): Promise<string> {
  const loaded = await loadModel(t, weights, "q8");
  const plan = tinyPlan(weights, task, tasks.indexOf(task));
  const stages = await loadSegments(t, loaded, tinySegments(weights, "q8", plan));
  const release = () => undefined;
  const lease = { expert: task, task, reason: "expert" as const, release };
  return answerAlone(loaded, request("alone", task), {
    middles: new Map([[task, stages]]),
    experts: { choose: () => ({ kind: "run", lease }) },
  });
}

test("the first request of a task is answered by dense, later ones by the expert that it asked for", async (t) => {
  const { engine, builder, store } = await start(t);
  t.deepEqual(
    engine.experts().map(({ name, state }) => [name, state]),
    [
      ["dense", "resident"],
      ["code", "absent"],
      ["math", "absent"],
    ],
  );
  const first = await answer(engine, request("a", "code"));
  t.like(first, { expert: "dense", reason: "building" });
  await until(() => builder.open.length === 1);
  builder.open[0]!.onProgress({ phase: "calibrating", share: 0.5 });
  await until(() => engine.experts()[1]?.progress !== null);
  t.deepEqual(engine.experts()[1]?.progress, { phase: "calibrating", share: 0.5 });
  builder.open[0]!.end(await store("code"));
  await until(() => stateOf(engine, "code") === "resident");
  const second = await answer(engine, request("b", "code"));
  t.like(second, { expert: "code", reason: "expert" });
  t.is(second.text, await expected(t, "code"));
  t.not(second.text, first.text);
  t.like(await answer(engine, requestFor("c", somePrompt(40))), { text: first.text });
  t.deepEqual(builder.began, ["code"]);
});

test("requests that wait for their expert are counted apart, within a limit, and run on it in the end", async (t) => {
  const { engine, builder, store } = await start(t, { maxParked: 1 });
  const waiting = answer(engine, request("a", "math", { whileBuilding: "wait" }));
  await until(() => builder.open.length === 1 && engine.stats().parkedRequests === 1);
  t.like(engine.stats(), { runningRequests: 0, waitingRequests: 0, waitingTokens: 0 });
  await t.throwsAsync(answer(engine, request("c", "math", { whileBuilding: "wait" })), {
    instanceOf: TooManyParkedError,
    message: /^1 requests wait for their experts already/,
  });
  t.like(await answer(engine, requestFor("b", somePrompt(5))), { expert: undefined });
  builder.open[0]!.end(await store("math"));
  const { text, expert, reason } = await waiting;
  t.deepEqual([expert, reason], ["math", "expert"]);
  t.is(text, await expected(t, "math"));
  t.is(engine.stats().parkedRequests, 0);
});

test("a person can have an expert loaded and sent away", async (t) => {
  const { engine, builder, store } = await start(t);
  builder.onDisk.set("code", await store("code"));
  const build = await engine.commandExpert("code", "build");
  t.true(["planned", "building"].includes(build.state));
  await until(() => builder.open.length === 1);
  builder.open[0]!.end(builder.onDisk.get("code")!);
  await until(() => stateOf(engine, "code") === "stored");
  const loaded = await engine.commandExpert("code", "load");
  t.is(loaded.state, "resident");
  t.is(loaded.residentBytes, loaded.built!.sizeBytes);
  const evicted = await engine.commandExpert("code", "evict");
  t.like(evicted, { state: "stored", residentBytes: 0, evictions: 1 });
  t.deepEqual(engine.experts()[1], evicted);
  const middle = buildMiddle(weights, "q8", { name: denseExpert });
  t.like(engine.experts()[0], { state: "resident", residentBytes: totalBytes([middle]) });
  await t.throwsAsync(engine.commandExpert("poetry", "load"), {
    instanceOf: ExpertCommandError,
    message: /poetry/,
  });
  await engine.close();
  await t.throwsAsync(engine.commandExpert("code", "load"), { instanceOf: EngineStoppedError });
});

test("a failed build is told, and the task is answered by dense", async (t) => {
  const { engine, builder, lines } = await start(t);
  await answer(engine, request("a", "code"));
  await until(() => builder.open.length === 1);
  builder.open[0]!.fail(new Error("The disk is full."));
  await until(() => stateOf(engine, "code") === "failed");
  t.is(engine.experts()[1]?.problem, "The disk is full.");
  t.true(lines.includes("Expert code was not built: The disk is full."));
  t.like(await answer(engine, request("b", "code")), { expert: "dense", reason: "failed" });
});

test("what lies damaged on disk is built anew", async (t) => {
  const { engine, builder, store } = await start(t);
  const built = await store("code");
  writeFileSync(join(built.storeDir, "code", "weights-0.bin"), "");
  await answer(engine, request("a", "code"));
  await until(() => builder.open.length === 1);
  builder.open[0]!.end(built);
  await until(() => builder.began.length === 2);
  builder.open[0]!.end(await store("code"));
  await until(() => stateOf(engine, "code") === "resident");
  t.like(await answer(engine, request("b", "code")), { expert: "code" });
});

test("finished answers of experts are compared with dense when there is nothing else to do", async (t) => {
  const { engine, builder, store } = await start(t, {
    preload: ["code"],
    shadow: { share: 1, maxKl: 1e-6, minRequests: 1 },
  });
  await until(() => builder.open.length === 1);
  builder.open[0]!.end(await store("code"));
  await until(() => stateOf(engine, "code") === "resident");
  await answer(engine, request("a", "code"));
  await until(() => stateOf(engine, "code") === "suspended");
  const { shadow, problem } = engine.experts()[1]!;
  t.like(shadow, { requests: 1, tokens: 16 });
  t.true(shadow!.kl > 1e-6);
  t.regex(problem ?? "", /KL divergence/);
  t.like(await answer(engine, request("b", "code")), { expert: "dense", reason: "suspended" });
  await until(() => engine.experts()[1]?.residentBytes === 0);
});

test("closing during a build aborts it, and those that wait for it are told", async (t) => {
  const { engine, builder } = await start(t);
  const waiting = answer(engine, request("a", "code", { whileBuilding: "wait" }));
  const stopped = t.throwsAsync(waiting, { instanceOf: EngineStoppedError });
  await until(() => builder.open.length === 1);
  const { signal } = builder.open[0]!;
  await engine.close();
  await stopped;
  t.true(signal.aborted);
  t.is(builder.open.length, 0);
});

test("closing during a load ends it", async (t) => {
  const { engine, builder, store } = await start(t);
  void answer(engine, request("a", "code")).catch(() => undefined);
  await until(() => builder.open.length === 1);
  builder.open[0]!.end(await store("code"));
  await until(() => stateOf(engine, "code") === "loading");
  await engine.close();
  t.pass();
});

test("a worker that dies takes the build with it", async (t) => {
  const { engine, builder } = await start(t);
  await answer(engine, request("a", "code"));
  await until(() => builder.open.length === 1);
  const { signal } = builder.open[0]!;
  await t.throwsAsync(answer(engine, requestFor("deadly", [1], { stop: [deadly] })), {
    instanceOf: EngineStoppedError,
  });
  t.true(signal.aborted);
});

test("an expert to be preloaded that does not exist is refused at the start, with the names of those that do", async (t) => {
  const error = await t.throwsAsync(start(t, { preload: ["poetry"] }), {
    instanceOf: ModelLoadError,
  });
  t.regex(error.message, /code, math.*poetry/);
});
