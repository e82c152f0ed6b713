import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { startEngine } from "../../../engine/worker/engine.ts";
import type { EngineOptions } from "../../../engine/worker/engine.ts";
import {
  CancelledError,
  EngineHungError,
  EngineStoppedError,
  ExpertCommandError,
  InferenceError,
  OverloadedError,
  RouterLoadError,
} from "../../../engine/contract/errors.ts";
import type {
  Engine,
  EngineStats,
  GenerateEvent,
  GenerateRequest,
} from "../../../engine/contract/request.ts";
import { ModelLoadError } from "../../../model/errors.ts";
import { wholePrompt } from "../../../router/prompt-spans.ts";
import { routerFile } from "../../../router/router-file.ts";
import { FakeClock } from "../../helpers/fake-experts.ts";
import { deadly, fragileWorker, hanging } from "../../helpers/fragile.ts";
import { writeGguf } from "../../helpers/gguf-writer.ts";
import { answerAlone, loadModel } from "../../helpers/loop-run.ts";
import { numberedTokens, requestFor, somePrompt } from "../../helpers/requests.ts";
import { ggufMetadata, ggufTensors } from "../../helpers/stored-model.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { oneTaskRouter } from "../../helpers/one-task-router.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

// GGUF files of this architecture have interleaved pairs.
const weights = tinyModel({ ropeInterleaved: true });
const { vocabSize, contextLength } = weights.config;

function storedModel(t: ExecutionContext): string {
  const path = join(tempDir(t), "tiny.gguf");
  writeGguf(path, ggufMetadata(weights), ggufTensors(weights));
  return path;
}

function optionsFor(modelPath: string, options: Partial<EngineOptions>): EngineOptions {
  return {
    modelPath,
    weights: "q8",
    threads: 1,
    contextLength,
    vocabSize,
    maxBatch: 8,
    prefillChunk: 32,
    kvMemoryBytes: 1 << 24,
    prefixCacheBytes: 0,
    tokenTable: numberedTokens(vocabSize),
    maxWaitingRequests: 100,
    maxWaitingTokens: 10_000,
    ...options,
  };
}

async function start(t: ExecutionContext, options: Partial<EngineOptions> = {}): Promise<Engine> {
  const engine = await startEngine(optionsFor(storedModel(t), options));
  t.teardown(() => engine.close());
  return engine;
}

async function collect(engine: Engine, request: GenerateRequest): Promise<GenerateEvent[]> {
  const events: GenerateEvent[] = [];
  for await (const event of engine.generate(request)) events.push(event);
  return events;
}

function textOf(events: readonly GenerateEvent[]): string {
  return events.map((event) => ("text" in event ? event.text : "")).join("");
}

/** A request that does not end by itself while a test looks at it. */
const endless = (id: string) => requestFor(id, somePrompt(8), { maxTokens: contextLength - 8 });

/** Waits for a request's first token; the rest can then be read. */
async function firstToken(stream: AsyncGenerator<GenerateEvent, void, void>): Promise<void> {
  for (;;) {
    const { value, done } = await stream.next();
    if (done) throw new Error("ended before the first token");
    if (value.type === "delta") return;
  }
}

/** Reads a stream to its end or error. */
async function drain(stream: AsyncGenerator<GenerateEvent, void, void>): Promise<void> {
  while (!(await stream.next()).done);
}

const idle = {
  ...{ runningRequests: 0, waitingRequests: 0, parkedRequests: 0, waitingTokens: 0 },
  ...{ kvCacheUsage: 0, kvBytes: 0, weightBytes: 0, prefixCacheBytes: 0, grammarCacheBytes: 0 },
  restarts: 0,
};

/** Without what depends on the model's size. */
function countsOf(stats: EngineStats) {
  return { ...stats, kvBytes: 0, weightBytes: 0 };
}

test("an answer from the worker is the one that the loop gives, accepted first and finished last", async (t) => {
  const engine = await start(t);
  const request = requestFor("a", somePrompt(50), { maxTokens: 20 });
  const events = await collect(engine, request);
  t.deepEqual(events[0], { type: "accepted" });
  t.like(events.at(-1)!, {
    type: "finish",
    reason: "length",
    promptTokens: 50,
    completionTokens: 20,
  });
  t.is(events.length, 21);
  t.is(textOf(events), await answerAlone(await loadModel(t, weights, "q8"), request));
  t.deepEqual(countsOf(engine.stats()), idle);
});

test("of the prefill's time so much was the head, in all passes and in the last one", async (t) => {
  const engine = await start(t);
  const events = await collect(engine, requestFor("a", somePrompt(100), { maxTokens: 2 }));
  const end = events.at(-1)!;
  if (end.type !== "finish") return t.fail(end.type);
  const { prefillSeconds, headSeconds, lastHeadSeconds, sampleSeconds } = end.timings;
  t.true(lastHeadSeconds > 0 && sampleSeconds > 0);
  t.true(headSeconds > lastHeadSeconds);
  t.true(headSeconds + sampleSeconds < prefillSeconds);
});

test("the limits say what the engine was started with", async (t) => {
  const engine = await start(t, { contextLength: 512, maxBatch: 3, maxWaitingRequests: 7 });
  t.deepEqual(engine.limits, { contextLength: 512, vocabSize, maxBatch: 3, maxWaitingRequests: 7 });
});

test("a router comes to the engine by its file, or not at all", async (t) => {
  const worker = new URL("../../../server/model/engine-worker.js", import.meta.url);
  const engine = await start(t, { worker });
  const path = join(tempDir(t), "router.safetensors");
  writeFileSync(path, Buffer.concat(routerFile(oneTaskRouter("math", weights.config.hiddenSize))));
  const routing = { spans: wholePrompt(5) };
  const routed = async (id: string) => {
    const events = await collect(engine, requestFor(id, somePrompt(5), { maxTokens: 2, routing }));
    return events[1];
  };
  t.like(await routed("a"), { type: "routed", task: null, reason: "no-router" });
  await engine.useRouter(path);
  t.like(await routed("b"), { type: "routed", task: "math", expert: "dense", reason: "matched" });
  await t.throwsAsync(engine.useRouter(`${path}.not`), { instanceOf: RouterLoadError });
  t.like(await routed("c"), { type: "routed", task: "math" });
  await engine.close();
  await t.throwsAsync(engine.useRouter(path), { instanceOf: EngineStoppedError });
});

test("an engine that was started without routers takes none", async (t) => {
  const engine = await start(t);
  await t.throwsAsync(engine.useRouter("a.safetensors"), {
    instanceOf: RouterLoadError,
    message: "a.safetensors: this engine does not route.",
  });
});

test("an engine that was started without experts has none, and none can be commanded", async (t) => {
  const engine = await start(t);
  t.deepEqual(engine.experts(), []);
  await t.throwsAsync(engine.commandExpert("code", "load"), {
    instanceOf: ExpertCommandError,
    message: "This engine was started without experts.",
  });
});

test("20 parallel requests get the answers they get alone, greedy and seeded", async (t) => {
  const engine = await start(t);
  const requests = Array.from({ length: 20 }, (_, i) =>
    requestFor(`r${i}`, somePrompt(1 + ((i * 17) % 70), i), {
      maxTokens: 10 + i,
      sampling: i % 2 === 0 ? {} : { temperature: 0.8, seed: i },
    }),
  );
  const answers = await Promise.all(requests.map((request) => collect(engine, request)));
  t.deepEqual(countsOf(engine.stats()), idle);
  const loaded = await loadModel(t, weights, "q8");
  for (const [i, request] of requests.entries()) {
    t.is(textOf(answers[i]!), await answerAlone(loaded, request));
  }
});

test("while requests run and wait the statistics say so", async (t) => {
  const engine = await start(t, { maxBatch: 1 });
  const running = engine.generate(endless("running"));
  await firstToken(running);
  const waiting = engine.generate(requestFor("waiting", somePrompt(30)));
  await waiting.next();
  const { kvCacheUsage, kvBytes, weightBytes, ...counts } = engine.stats();
  t.deepEqual(counts, {
    ...{ runningRequests: 1, waitingRequests: 1, parkedRequests: 0, waitingTokens: 30 },
    ...{ prefixCacheBytes: 0, grammarCacheBytes: 0, restarts: 0 },
  });
  t.true(kvCacheUsage > 0 && kvCacheUsage <= 1);
  t.true(kvBytes > 0);
  t.true(weightBytes > kvBytes);
  await waiting.return();
  await running.return();
  await collect(engine, requestFor("last", somePrompt(10)));
  t.like(engine.stats(), { kvBytes: 0, weightBytes });
  t.deepEqual(countsOf(engine.stats()), idle);
});

test("an abort in mid-stream throws CancelledError, frees the place and leaves others alone", async (t) => {
  const engine = await start(t, { maxBatch: 2 });
  const request = requestFor("other", somePrompt(20), { maxTokens: 40 });
  const other = collect(engine, request);
  const controller = new AbortController();
  const stream = engine.generate(endless("aborted"), controller.signal);
  await firstToken(stream);
  const next = requestFor("next", somePrompt(5));
  const queued = collect(engine, next);
  controller.abort();
  await t.throwsAsync(drain(stream), { instanceOf: CancelledError });
  const loaded = await loadModel(t, weights, "q8");
  t.is(textOf(await other), await answerAlone(loaded, request));
  t.is(textOf(await queued), await answerAlone(loaded, next));
  t.deepEqual(countsOf(engine.stats()), idle);
});

test("a request aborted while it waits is gone at once", async (t) => {
  const engine = await start(t, { maxBatch: 1 });
  const running = engine.generate(endless("running"));
  await firstToken(running);
  const controller = new AbortController();
  const waiting = engine.generate(requestFor("waiting", somePrompt(5)), controller.signal);
  await waiting.next();
  controller.abort();
  t.is(engine.stats().waitingRequests, 0);
  await t.throwsAsync(waiting.next(), { instanceOf: CancelledError });
  await running.return();
});

test("a signal that has aborted before is refused without a trace", async (t) => {
  const engine = await start(t);
  const stream = engine.generate(endless("a"), AbortSignal.abort());
  await t.throwsAsync(stream.next(), { instanceOf: CancelledError });
  t.deepEqual(countsOf(engine.stats()), idle);
});

test("leaving the iteration cancels the request", async (t) => {
  const engine = await start(t, { maxBatch: 1 });
  for await (const event of engine.generate(endless("a"))) {
    if (event.type === "delta") break;
  }
  t.deepEqual(countsOf(engine.stats()), idle);
  // The only place in the batch is free again.
  t.is((await collect(engine, requestFor("b", somePrompt(3)))).length, 17);
});

test("one request more than may wait is refused with the numbers, until there is room again", async (t) => {
  const engine = await start(t, { maxBatch: 1, maxWaitingRequests: 2 });
  const running = engine.generate(endless("running"));
  await firstToken(running);
  const waiting = [1, 2].map((i) => engine.generate(requestFor(`w${i}`, somePrompt(5))));
  for (const stream of waiting) await stream.next();
  const refused = engine.generate(requestFor("refused", somePrompt(5)));
  const error = await t.throwsAsync(refused.next(), { instanceOf: OverloadedError });
  t.regex(error.message, /\b2 requests are waiting/);
  t.true(error.retryAfterSeconds >= 1);
  t.is(engine.stats().waitingRequests, 2);
  await waiting[0]!.return();
  await t.notThrowsAsync(engine.generate(requestFor("accepted", somePrompt(5))).next());
});

test("a burst before the first token is counted: the batch and the queue, and no more", async (t) => {
  const engine = await start(t, { maxBatch: 2, maxWaitingRequests: 3 });
  const results = await Promise.allSettled(
    Array.from({ length: 8 }, (_, i) => engine.generate(requestFor(`r${i}`, somePrompt(5))).next()),
  );
  t.deepEqual(
    results.map(({ status }) => status === "fulfilled"),
    [true, true, true, true, true, false, false, false],
  );
});

test("more prompt tokens than may wait are refused, but one prompt of any length may", async (t) => {
  const engine = await start(t, { maxBatch: 1, maxWaitingTokens: 100 });
  const running = engine.generate(endless("running"));
  await firstToken(running);
  await engine.generate(requestFor("long", somePrompt(150))).next();
  await t.throwsAsync(engine.generate(requestFor("more", somePrompt(5))).next(), {
    instanceOf: OverloadedError,
  });
});

test("closing ends what is in flight with EngineStoppedError, and closing twice is fine", async (t) => {
  const engine = await start(t, { maxBatch: 1 });
  const running = engine.generate(endless("running"));
  await firstToken(running);
  const waiting = engine.generate(requestFor("waiting", somePrompt(5)));
  await waiting.next();
  const ends = [running, waiting].map((stream) =>
    t.throwsAsync(drain(stream), {
      instanceOf: EngineStoppedError,
      message: "The engine was closed.",
    }),
  );
  await Promise.all([engine.close(), engine.close()]);
  await Promise.all(ends);
  await engine.close();
  t.deepEqual(countsOf(engine.stats()), idle);
  await t.throwsAsync(engine.generate(requestFor("late", [1])).next(), {
    instanceOf: EngineStoppedError,
  });
});

test("a request that nothing can be made of fails alone", async (t) => {
  const engine = await start(t);
  const running = engine.generate(endless("running"));
  await firstToken(running);
  const invalid = { ...requestFor("invalid", [1]), stop: null } as unknown as GenerateRequest;
  await t.throwsAsync(collect(engine, invalid), { instanceOf: InferenceError });
  await firstToken(running);
  await running.return();
  t.is(engine.problem, null);
});

test("a worker that dies takes the requests in flight along, with its reason, and nothing hangs", async (t) => {
  const engine = await start(t, { worker: fragileWorker });
  const running = engine.generate(endless("running"));
  await firstToken(running);
  const expected = {
    instanceOf: EngineStoppedError,
    message: "The engine's worker failed: killed from inside",
  };
  await Promise.all([
    t.throwsAsync(collect(engine, requestFor("deadly", [1], { stop: [deadly] })), expected),
    t.throwsAsync(drain(running), expected),
  ]);
  t.is((await engine.failed).message, expected.message);
  t.is(engine.problem?.message, expected.message);
  t.deepEqual(countsOf(engine.stats()), idle);
  await t.throwsAsync(engine.generate(requestFor("late", [1])).next(), expected);
  await engine.close();
});

test("a thread that hangs is noticed, its requests end, and closing it ends too", async (t) => {
  const clock = new FakeClock();
  const { setTimer } = clock;
  const options = { worker: fragileWorker, answerTimeoutMs: 100_000, setTimer };
  const engine = await startEngine(optionsFor(storedModel(t), options));
  // One turn at a time, for it to answer; nothing happens to an engine that does.
  for (let i = 0; i < 30; i++) {
    clock.advance(10_000);
    await collect(engine, requestFor(`r${i}`, [1], { maxTokens: 1 }));
  }
  t.is(engine.problem, null);
  const blocked = engine.generate(requestFor("hanging", [1], { stop: [hanging] }));
  await blocked.next();
  const ended = t.throwsAsync(blocked.next(), { instanceOf: EngineHungError });
  for (let i = 0; i < 12; i++) clock.advance(10_000);
  t.true((await engine.failed) instanceof EngineHungError);
  await ended;
  const closed = t.throwsAsync(engine.close(), { instanceOf: EngineHungError });
  clock.advance(20_000);
  await closed;
});

test("a request that the model cannot run fails alone", async (t) => {
  const engine = await start(t);
  const running = engine.generate(endless("running"));
  await firstToken(running);
  await t.throwsAsync(collect(engine, requestFor("unknown token", [vocabSize])), {
    instanceOf: InferenceError,
    message: /^Stage trunk failed: /,
  });
  await firstToken(running);
  await running.return();
});

test("a model that is not there is a ModelLoadError that names it once", async (t) => {
  const path = join(tempDir(t), "absent.gguf");
  const error = await t.throwsAsync(startEngine(optionsFor(path, {})), {
    instanceOf: ModelLoadError,
  });
  t.is(error.message, `${path}: does not exist, expected a GGUF file or a model folder`);
});

test("a damaged model is a ModelLoadError with the reader's message", async (t) => {
  const path = storedModel(t);
  writeFileSync(path, readFileSync(path).subarray(0, 5000));
  const error = await t.throwsAsync(startEngine(optionsFor(path, {})), {
    instanceOf: ModelLoadError,
  });
  t.true(error.message.startsWith(`${path}: `));
  t.false(error.message.includes("worker"));
});

test("loading tells its progress", async (t) => {
  const lines: string[] = [];
  await start(t, { onProgress: (line) => lines.push(line) });
  t.deepEqual(lines, [
    "loading trunk (q8), 1 of 3",
    "loading head (q8), 2 of 3",
    "loading dense.0 (q8), 3 of 3",
  ]);
});
