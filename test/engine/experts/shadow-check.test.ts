import test from "ava";
import type { ExecutionContext } from "ava";
import type { ExpertChoice } from "../../../engine/contract/expert-choice.ts";
import type { ShadowRecord } from "../../../engine/experts/shadow-tally.ts";
import type { ModelRunner } from "../../../engine/run/model-runner.ts";
import { ShadowCheck } from "../../../engine/experts/shadow-check.ts";
import { planShapes } from "../../../model/experts/expert-plan.ts";
import { prunedWeights } from "../../../model/experts/pruned-weights.ts";
import { denseShape } from "../../../model/weights/layer-spec.ts";
import { wholePrompt } from "../../../router/prompt-spans.ts";
import { loadModel, LoopRun } from "../../helpers/loop-run.ts";
import {
  expertModel,
  loadSegments,
  tinyPlan,
  tinySegments,
} from "../../helpers/made-up-experts.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { requestFor, somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const weights = tinyModel(expertModel);
const { vocabSize } = weights.config;
const plan = tinyPlan(weights, "code", 0);

interface Recorded extends ShadowRecord {
  readonly expert: string;
}

/** A loop whose tasks run on the expert of their name; `same` is dense itself under another name. */
async function setUp(
  t: ExecutionContext,
  share: number,
  format: "q8" | "f32" = "q8",
  kvPositions = 1 << 20,
) {
  const loaded = await loadModel(t, weights, format);
  const code = await loadSegments(t, loaded, tinySegments(weights, format, plan));
  const middles = new Map([
    ["code", code],
    ["same", loaded.stages.middle],
  ]);
  const records: Recorded[] = [];
  const lines: string[] = [];
  const release = () => undefined;
  const choose = (task: string | null): ExpertChoice => {
    const lease = { expert: task ?? "dense", task, reason: "expert" as const, release };
    return { kind: "run", lease };
  };
  const run: LoopRun = new LoopRun(loaded, {
    middles,
    experts: { choose },
    onFinish: (sequence) => check.offer(sequence),
    kvPositions,
    kvBorrower: {
      get kvBytes() {
        return check.kvBytes;
      },
      giveBack: () => check.giveBack(),
    },
  });
  const options = {
    ...{ share, vocabSize },
    freeKvBytes: () => run.loop.freeKvBytes,
    record: (expert: string, record: ShadowRecord) => void records.push({ expert, ...record }),
    log: (line: string) => void lines.push(line),
  };
  const check: ShadowCheck = new ShadowCheck({ runner: run.runner, ...options });
  const checkWith = (runner: Pick<ModelRunner, "score" | "release" | "kvBytesFor">) =>
    new ShadowCheck({ runner, ...options });
  let numAdded = 0;
  const answer = async (task: string | null, length = 20, maxTokens = 8) => {
    const assigned = { task, reason: "rule" as const };
    const routing = { spans: wholePrompt(length), assigned };
    const id = String(numAdded++);
    run.add(requestFor(id, somePrompt(length, numAdded), { maxTokens, routing }));
    await run.runToEnd();
    return run.tokenIds(id);
  };
  const drain = async (limit = 1000) => {
    for (let turn = 0; check.hasWork; turn++) {
      if (turn === limit) throw new Error(`not through after ${limit} turns`);
      await check.step();
    }
  };
  return { ...loaded, run, check, checkWith, records, lines, answer, drain };
}

function logSoftmax(logits: Float32Array): Float64Array {
  const largest = Math.max(...logits);
  const sum = logits.reduce((total, value) => total + Math.exp(value - largest), 0);
  return Float64Array.from(logits, (value) => value - largest - Math.log(sum));
}

test("what is recorded is the divergence of the two plain passes at the output's tokens", async (t) => {
  const { answer, drain, records, device } = await setUp(t, 1, "f32");
  const output = await answer("code", 37, 11);
  await drain();
  const ids = [...somePrompt(37, 1), ...output.slice(0, -1)];
  const full = denseShape(weights.config);
  const layerShapes = [full, full, ...planShapes(plan), full, full];
  const dense = plainForward(weights, ids);
  const own = plainForward(prunedWeights(weights, plan), ids, { layerShapes });
  let kl = 0;
  let agreeing = 0;
  for (let position = 36; position < ids.length; position++) {
    const range = [position * vocabSize, (position + 1) * vocabSize] as const;
    const p = logSoftmax(dense.subarray(...range));
    const q = logSoftmax(own.subarray(...range));
    kl += p.reduce((sum, value, i) => sum + Math.exp(value) * (value - q[i]!), 0);
    if (p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q))) agreeing++;
  }
  t.is(records.length, 1);
  t.like(records[0]!, { expert: "code", tokens: 11, agreeing });
  t.true(kl > 0.1);
  t.true(Math.abs(records[0]!.kl - kl) < 1e-3 * kl, `${records[0]!.kl} against ${kl}`);
  t.is(device.kvBytes, 0);
});

test("a model that is compared with itself agrees everywhere", async (t) => {
  const { answer, drain, records } = await setUp(t, 1);
  await answer("same");
  await drain();
  t.deepEqual(records, [{ expert: "same", tokens: 8, kl: 0, agreeing: 8 }]);
});

test("every so many finished sequences on experts are compared, none of dense", async (t) => {
  const { answer, drain, records, check } = await setUp(t, 0.4);
  for (let i = 0; i < 10; i++) {
    await answer(null, 5, 2);
    await answer("code", 5, 2);
  }
  await drain();
  t.is(records.length, 4);
  const none = await setUp(t, 0);
  await none.answer("code");
  t.false(none.check.hasWork);
  t.false(check.hasWork);
});

test("those that come when many wait are passed over, and so are prompts without end", async (t) => {
  const { answer, drain, records, check } = await setUp(t, 1);
  await answer("code", 1024, 1);
  t.false(check.hasWork);
  for (let i = 0; i < 20; i++) await answer("code", 3, 1);
  await drain();
  t.is(records.length, 16);
});

test("no more than 1024 tokens are compared", async (t) => {
  const { answer, drain, records } = await setUp(t, 1);
  await answer("code", 1020, 8);
  await drain();
  t.is(records[0]?.tokens, 4);
});

test("requests that come in between get the answers they get alone, and the comparison goes on", async (t) => {
  const { answer, drain, records, check } = await setUp(t, 1);
  await answer("code", 60, 10);
  const alone = await setUp(t, 0);
  for (let i = 0; i < 4; i++) {
    await check.step();
    t.true(check.hasWork);
    const length = 10 + i;
    t.deepEqual(await answer(null, length), await answerOf(alone, length, i));
  }
  await drain();
  t.is(records.length, 1);
  t.is(records[0]?.tokens, 10);
});

/** As the `i + 2`th request of a setting gets it. */
async function answerOf(alone: Awaited<ReturnType<typeof setUp>>, length: number, i: number) {
  const request = requestFor(`alone${i}`, somePrompt(length, i + 2), { maxTokens: 8 });
  alone.run.add(request);
  await alone.run.runToEnd();
  return alone.run.tokenIds(request.id);
}

test("an expert that leaves takes its comparisons along, begun or not", async (t) => {
  const { answer, drain, records, check, run, device } = await setUp(t, 1);
  await answer("code");
  await answer("same");
  await answer("code");
  await check.step();
  await check.step();
  t.true(device.kvBytes > 0);
  check.forget("code");
  t.is(device.kvBytes, 0);
  run.runner.removeMiddle("code");
  await drain();
  t.deepEqual(
    records.map(({ expert }) => expert),
    ["same"],
  );
});

test("a comparison that fails is logged and left, and the next one begins", async (t) => {
  const { run, checkWith, records, lines, device } = await setUp(t, 1);
  let isFailing = true;
  const check = checkWith({
    score: (tokens, options) =>
      isFailing ? Promise.reject(new Error("no memory")) : run.runner.score(tokens, options),
    release: (tokens) => run.runner.release(tokens),
    kvBytesFor: (numTokens) => run.runner.kvBytesFor(numTokens),
  });
  const tokenIds = Uint32Array.from(somePrompt(14));
  const finished = {
    request: requestFor("a", tokenIds.subarray(0, 10)),
    lease: { expert: "code", task: "code", reason: "expert" as const, release: () => undefined },
    numTokens: tokenIds.length,
    tokenIds: (start: number, end: number) => tokenIds.subarray(start, end),
  };
  check.offer(finished);
  check.offer(finished);
  await check.step();
  t.is(lines.length, 1);
  t.regex(lines[0]!, /code was not compared with dense: no memory/);
  isFailing = false;
  while (check.hasWork) await check.step();
  t.deepEqual(
    records.map(({ tokens }) => tokens),
    [4],
  );
  t.is(device.kvBytes, 0);
});
