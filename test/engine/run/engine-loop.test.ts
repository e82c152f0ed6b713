import test from "ava";
import fc from "fast-check";
import { CancelledError, InferenceError } from "../../../engine/contract/errors.ts";
import type {
  FinishEvent,
  GenerateRequest,
  SamplingParams,
} from "../../../engine/contract/request.ts";
import { answerAlone, loadModel, LoopRun } from "../../helpers/loop-run.ts";
import type { LoadedStages } from "../../helpers/loop-run.ts";
import { plainGreedy } from "../../helpers/plain-forward.ts";
import { numberedTokens, requestFor, somePrompt, tokenIdsOf } from "../../helpers/requests.ts";
import { WatchedDevice } from "../../helpers/watched-device.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";
import type { TinyModelOptions } from "../../helpers/tiny-model.ts";

const seeded: Partial<SamplingParams> = { temperature: 1, topP: 0.95, seed: 42 };

const models: Readonly<Record<string, TinyModelOptions>> = {
  "grouped-query, tied": {},
  "grouped-query, untied, interleaved rotary": { tiedEmbeddings: false, ropeInterleaved: true },
  "multi-head": { numKvHeads: 4 },
  "one KV head": { numKvHeads: 1 },
  "two layers": { numLayers: 2 },
  "three layers": { numLayers: 3 },
};

for (const [title, options] of Object.entries(models)) {
  test(`24 greedy tokens are those of the plain forward pass: ${title}`, async (t) => {
    const weights = tinyModel(options);
    const loaded = await loadModel(t, weights, "f32");
    const prompt = somePrompt(50);
    const answer = await answerAlone(loaded, requestFor("a", prompt, { maxTokens: 24 }));
    t.deepEqual(tokenIdsOf(answer), plainGreedy(weights, prompt, 24));
  });
}

/** 12 requests of various lengths, every other one sampled. */
const requests: readonly GenerateRequest[] = Array.from({ length: 12 }, (_, i) =>
  requestFor(`r${i}`, somePrompt(1 + ((i * 29) % 90), i), {
    maxTokens: 4 + ((i * 13) % 30),
    sampling: i % 2 === 0 ? {} : { ...seeded, seed: i },
  }),
);

/** @returns the answer that the request of some id gets with nobody else in the engine */
async function answersAlone(loaded: LoadedStages): Promise<(id: string) => string> {
  const alone = new Map<string, string>();
  for (const request of requests) alone.set(request.id, await answerAlone(loaded, request));
  return (id) => alone.get(id)!;
}

test("whoever joins and leaves, every answer is the one given alone, greedy and seeded", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const alone = await answersAlone(loaded);
  const schedule = fc.record({
    maxBatch: fc.integer({ min: 1, max: 12 }),
    order: fc.shuffledSubarray([...requests], { minLength: 4 }),
    pauses: fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 12, maxLength: 12 }),
    /** Cancelled that many steps after they came; -1 for not at all. */
    cancelAfter: fc.array(fc.integer({ min: -6, max: 12 }), { minLength: 12, maxLength: 12 }),
  });
  await fc.assert(
    fc.asyncProperty(schedule, async ({ maxBatch, order, pauses, cancelAfter }) => {
      const run = new LoopRun(loaded, { maxBatch });
      const due = new Map<number, string>();
      let now = 0;
      const step = async () => {
        const id = due.get(now++);
        if (id !== undefined) run.loop.cancel(id);
        await run.step();
      };
      for (const [i, request] of order.entries()) {
        run.add(request);
        if (cancelAfter[i]! >= 0) due.set(now + cancelAfter[i]!, request.id);
        for (let pause = 0; pause < pauses[i]!; pause++) await step();
      }
      for (let i = 0; i < 12; i++) await step();
      await run.runToEnd();
      for (const { id } of order) {
        const { error, text, finish } = run.answer(id);
        if (error === null) t.is(text, alone(id));
        else t.true(error instanceof CancelledError && finish === null);
        if (error !== null) t.true(alone(id).startsWith(text));
      }
      t.is(loaded.device.kvBytes, 0);
    }),
    { numRuns: 12, seed: 7 },
  );
});

test("preemption under a small KV budget costs time, never an answer", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "f32");
  const alone = await answersAlone(loaded);
  const run = new LoopRun(loaded, { maxBatch: 8, kvPositions: 256, maxGapMs: 20 });
  for (const request of requests) run.add(request);
  let mostAtOnce = 0;
  let numPreempted = 0;
  let before = new Set<string>();
  while (!run.loop.isIdle) {
    await run.step();
    const now = new Set(run.runningIds());
    for (const id of before) {
      const { finish } = run.answer(id);
      if (!now.has(id) && finish === null) numPreempted++;
    }
    mostAtOnce = Math.max(mostAtOnce, now.size);
    before = now;
  }
  for (const { id } of requests) {
    t.is(run.text(id), alone(id));
    t.is(run.answer(id).numStarts, 1);
  }
  t.true(mostAtOnce >= 3, `${mostAtOnce} at once`);
  t.true(numPreempted > 0);
  t.true(run.largestUsage <= 1);
  t.is(run.loop.kvCacheUsage, 0);
});

test("a sequence that fills the whole KV budget alone gets to its end", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "f32");
  const request = requestFor("a", somePrompt(20), { maxTokens: 108 });
  const run = new LoopRun(loaded, { kvPositions: 128 });
  run.add(request);
  run.add(requestFor("b", somePrompt(20), { maxTokens: 108 }));
  await run.runToEnd();
  t.is(run.text("a"), await answerAlone(loaded, request));
  t.is(run.text("b"), run.text("a"));
});

test("requests start in the order of arrival, and a long prompt holds up neither those who decode nor a short one", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const run = new LoopRun(loaded, { prefillChunk: 16 });
  run.add(requestFor("short", somePrompt(4), { maxTokens: 200 }));
  await run.step(4);
  run.add(requestFor("long", somePrompt(600), { maxTokens: 2 }));
  run.add(requestFor("last", somePrompt(4), { maxTokens: 2 }));
  const ends: string[] = [];
  while (run.answer("long").numTokens === 0) {
    const before = run.answer("short").numTokens;
    await run.step();
    t.is(run.answer("short").numTokens, before + 1);
    for (const id of ["last", "long"]) if (run.answer(id).finish) ends.push(id);
  }
  t.deepEqual(run.started, ["short", "long", "last"]);
  t.is(ends[0], "last");
});

test("a step has as many parts of prefill as its time has room for, and answers do not depend on it", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const numSteps: number[] = [];
  const texts = new Set<string>();
  for (const maxGapMs of [0, 20, 100, 1e6]) {
    const run = new LoopRun(loaded, { prefillChunk: 16, maxGapMs });
    run.add(requestFor("first", somePrompt(600, 1), { maxTokens: 2 }));
    run.add(requestFor("short", somePrompt(4), { maxTokens: 400 }));
    // Until all kinds of parts were measured once.
    while (run.answer("first").finish === null) await run.step();
    run.add(requestFor("long", somePrompt(600, 2), { maxTokens: 20 }));
    const before = run.answer("short").numTokens;
    while (run.answer("long").numTokens === 0) await run.step();
    numSteps.push(run.answer("short").numTokens - before);
    await run.runToEnd();
    texts.add(run.text("long"));
  }
  t.is(numSteps[0], 3 * Math.ceil(600 / 16));
  t.true(numSteps[1]! < numSteps[0]! / 2);
  t.true(numSteps[2]! < numSteps[1]! / 2);
  t.is(numSteps[3], 1);
  t.is(texts.size, 1);
});

test("never more sequences at once than the batch holds", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const run = new LoopRun(loaded, { maxBatch: 3 });
  for (const request of requests) run.add(request);
  while (!run.loop.isIdle) {
    await run.step();
    t.true(run.runningIds().length <= 3);
  }
});

test("D17: a request cancelled while it waits is taken out at once and never run", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const run = new LoopRun(loaded, { maxBatch: 1 });
  run.add(requestFor("first", somePrompt(4), { maxTokens: 8 }));
  run.add(requestFor("second", somePrompt(4), { maxTokens: 8 }));
  await run.step(2);
  run.loop.cancel("second");
  await run.step();
  t.true(run.answer("second").error instanceof CancelledError);
  await run.runToEnd();
  t.deepEqual(run.started, ["first"]);
  t.is(run.answer("first").numTokens, 8);
});

test("D18: a cancelled request stops within one step, in prefill and while decoding, and frees its KV", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  for (const stepsBefore of [0, 1, 2, 3, 5, 12]) {
    const run = new LoopRun(loaded, { prefillChunk: 16 });
    run.add(requestFor("a", somePrompt(100), { maxTokens: 100 }));
    await run.step(stepsBefore);
    const { numTokens } = run.answer("a");
    run.loop.cancel("a");
    await run.step();
    t.true(run.answer("a").error instanceof CancelledError);
    t.is(run.answer("a").numTokens, numTokens);
    t.true(run.loop.isIdle);
    t.is(run.loop.kvCacheUsage, 0);
    t.is(loaded.device.kvBytes, 0);
  }
});

test("a request cancelled during a pass gets no further pass", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const run = new LoopRun(loaded);
  run.add(requestFor("a", somePrompt(10), { maxTokens: 100 }));
  await run.step(4);
  const step = run.step();
  run.loop.cancel("a");
  await step;
  const { numTokens } = run.answer("a");
  await run.step();
  t.is(run.answer("a").numTokens, numTokens);
  t.true(run.answer("a").error instanceof CancelledError);
});

test("D19: cancelling one request leaves all others as they are, by id only", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const alone = await answersAlone(loaded);
  for (const victim of ["r0", "r5", "r11"]) {
    for (const stepsBefore of [0, 3, 9]) {
      const run = new LoopRun(loaded, { maxBatch: 4, prefillChunk: 32 });
      for (const request of requests) run.add(request);
      await run.step(stepsBefore);
      run.loop.cancel(victim);
      run.loop.cancel(victim);
      run.loop.cancel("unknown");
      await run.runToEnd();
      for (const { id } of requests) {
        if (id !== victim) t.is(run.text(id), alone(id), `${id} without ${victim}`);
      }
    }
  }
});

test("cancelling what has finished is nothing", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const run = new LoopRun(loaded);
  run.add(requestFor("a", somePrompt(10), { maxTokens: 2 }));
  await run.runToEnd();
  run.loop.cancel("a");
  await run.step();
  t.is(run.answer("a").error, null);
});

/** The stages with a middle whose next pass fails when `failure.next` says so. */
function withFailure(loaded: LoadedStages, failure: { next: boolean }): LoadedStages {
  const middle = loaded.stages.middle[0]!;
  const device = new WatchedDevice(loaded.device, {
    beforePass: (stages) => {
      if (!failure.next || !stages.includes(middle)) return;
      failure.next = false;
      throw new InferenceError("out of memory");
    },
  });
  return { ...loaded, device };
}

test("a decode pass that fails costs the sequences in it, not those that wait, and the loop goes on", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const alone = await answersAlone(loaded);
  const failure = { next: false };
  const run = new LoopRun(withFailure(loaded, failure), { maxBatch: 2 });
  for (const request of requests.slice(0, 5)) run.add(request);
  while (run.runningIds().length < 2) await run.step();
  const lost = run.runningIds();
  failure.next = true;
  await run.runToEnd();
  for (const { id } of requests.slice(0, 5)) {
    const { error, text } = run.answer(id);
    if (lost.includes(id)) t.is(error?.message, "out of memory");
    else t.is(text, alone(id));
  }
  t.is(loaded.device.kvBytes, 0);
});

test("a prefill that fails costs its sequence alone", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const alone = await answersAlone(loaded);
  const failure = { next: false };
  const run = new LoopRun(withFailure(loaded, failure));
  run.add(requests[3]!);
  while (run.runningIds().length === 0) await run.step();
  run.add(requests[4]!);
  await run.step(); // the trunk's part
  failure.next = true;
  await run.runToEnd();
  t.true(run.answer("r4").error instanceof InferenceError);
  t.is(run.text("r3"), alone("r3"));
});

test("an error that is not ours still costs only its step", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const device = new WatchedDevice(loaded.device, {
    beforePass: () => {
      throw new RangeError("odd");
    },
  });
  const run = new LoopRun({ ...loaded, device });
  run.add(requests[0]!);
  await run.runToEnd();
  t.true(run.answer("r0").error instanceof InferenceError);
  t.is(run.answer("r0").error?.message, "The forward pass failed: RangeError: odd");
});

test("a request that nothing can be made of ends with one error, and all others go on", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const alone = await answersAlone(loaded);
  const run = new LoopRun(loaded);
  run.add(requests[0]!);
  await run.step();
  run.add({ ...requestFor("bad", [1]), stop: null } as unknown as GenerateRequest);
  t.true(run.answer("bad").error instanceof InferenceError);
  await run.runToEnd();
  t.is(run.text("r0"), alone("r0"));
});

test("a row that cannot be read ends its sequence alone, in prefill and in decode", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const alone = await answersAlone(loaded);
  const { vocabSize } = loaded.weights.config;
  const whole = numberedTokens(vocabSize);
  for (const numGood of [0, 3]) {
    let left = Infinity;
    // Texts of tokens are read when one was drawn: those of one answer fail from some token on.
    const table = {
      ...whole,
      get offsets() {
        if (left-- <= 0) throw new RangeError("no text");
        return whole.offsets;
      },
    };
    const run = new LoopRun(loaded, { table });
    run.add(requests[0]!);
    run.add(requests[1]!);
    while (run.answer("r0").numTokens < numGood) await run.step();
    if (numGood === 0) await run.step();
    left = 0;
    while (run.answer("r0").error === null) await run.step();
    left = Infinity;
    await run.runToEnd();
    t.true(run.answer("r0").error instanceof InferenceError);
    const other = run.answer("r1");
    if (other.error === null) t.is(other.text, alone("r1"));
    t.is(loaded.device.kvBytes, 0);
  }
});

test("who is told of an end and throws costs no answer, and others are told of that", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const alone = await answersAlone(loaded);
  const problems: unknown[] = [];
  const run = new LoopRun(loaded, {
    onFinish: () => {
      throw new RangeError("odd");
    },
    onProblem: (error) => problems.push(error),
  });
  for (const request of requests.slice(0, 2)) run.add(request);
  await run.runToEnd();
  for (const id of ["r0", "r1"]) {
    t.is(run.text(id), alone(id));
    t.is(run.answer(id).error, null);
  }
  t.is(problems.length, 2);
});

test("NaN fails the sequence that has it, and nobody who shares or takes over its memory", async (t) => {
  const weights = tinyModel();
  const poison = 255;
  const { hiddenSize } = weights.config;
  const poisoned = {
    ...weights,
    readTensor: (role: Parameters<typeof weights.readTensor>[0]) => {
      const tensor = weights.readTensor(role);
      if (role === "embedding") tensor.fill(NaN, poison * hiddenSize, (poison + 1) * hiddenSize);
      return tensor;
    },
  };
  const loaded = await loadModel(t, poisoned, "f32");
  const healthy = requests.map((request) => ({
    ...request,
    promptTokenIds: request.promptTokenIds.map((id) => (id === poison ? 0 : id)),
    sampling: { ...request.sampling, logitBias: [[poison, -100]] as const },
  }));
  const run = new LoopRun(loaded, { maxBatch: 6 });
  for (const [i, request] of healthy.entries()) {
    run.add(request);
    const bias = { logitBias: [[poison, 100]] as const };
    // The second token is the poison: its KV is in a shared arena when the logits turn out to be NaN.
    run.add(requestFor(`nan${i}`, somePrompt(3, i), { maxTokens: 40, sampling: bias }));
  }
  await run.runToEnd();
  for (const [i, request] of healthy.entries()) {
    t.regex(run.answer(`nan${i}`).error?.message ?? "", /logits is a number/);
    t.is(run.answer(request.id).error, null);
    t.is(run.text(request.id), await answerAlone(loaded, request));
  }
});

test("an answer ends at an end-of-sequence token and at a stop string", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const whole = tokenIdsOf(await answerAlone(loaded, requestFor("a", somePrompt(20))));
  const fifth = whole[4]!;
  const before = whole.slice(0, whole.indexOf(fifth));
  const run = new LoopRun(loaded, { table: numberedTokens(256, [fifth]) });
  run.add(requestFor("eos", somePrompt(20), { ignoreEos: false }));
  run.add(requestFor("stop", somePrompt(20), { stop: [` ${fifth} `] }));
  await run.runToEnd();
  t.deepEqual(run.tokenIds("eos"), before);
  t.like(run.answer("eos").finish!, { reason: "stop", completionTokens: before.length + 1 });
  t.is(`${run.text("stop")} `, before.map((id) => `${id} `).join(""));
});

test("whoever joins and leaves, a prefix cache changes no answer, and preempted sequences count no hit twice", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const alone = await answersAlone(loaded);
  const options = { maxBatch: 4, kvPositions: 1024, prefixCacheBytes: 2 ** 24 };
  const run = new LoopRun(loaded, options);
  for (const round of [1, 2]) {
    for (const request of requests) {
      run.add({ ...request, id: `${request.id}/${round}`, cacheSalt: "" });
    }
    await run.runToEnd();
  }
  for (const { id, promptTokenIds } of requests) {
    for (const round of [1, 2]) t.is(run.text(`${id}/${round}`), alone(id));
    const { cachedTokens } = run.answer(`${id}/2`).finish as FinishEvent;
    t.is(cachedTokens, Math.floor((promptTokenIds.length - 1) / 32) * 32);
  }
});
