import test from "ava";
import type { Stage } from "../../../engine/device/device.ts";
import { InferenceError } from "../../../engine/contract/errors.ts";
import { ModelRunner } from "../../../engine/run/model-runner.ts";
import type { Tokens } from "../../../engine/contract/tokens.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";
import { loadModel } from "../../helpers/loop-run.ts";
import type { LoadedStages } from "../../helpers/loop-run.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { somePrompt } from "../../helpers/requests.ts";
import {
  expertModel,
  loadExperts,
  loadSegments,
  tinyPlan,
  tinySegments,
} from "../../helpers/made-up-experts.ts";
import { WatchedDevice } from "../../helpers/watched-device.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const names = ["code", "math", "chat"];

function createRunner(
  { device, stages }: LoadedStages,
  experts: ReadonlyMap<string, readonly Stage[]>,
): ModelRunner {
  const runner = new ModelRunner({ device, stages, prefillChunk: 32 });
  for (const [name, middle] of experts) runner.addMiddle(name, middle);
  return runner;
}

async function prefill(runner: ModelRunner, tokens: Tokens, middle: string): Promise<Float32Array> {
  for (;;) {
    const step = await runner.prefill(tokens);
    if (step.kind === "logits") return step.logits;
    if (runner.needsMiddle(tokens)) await runner.setMiddle(tokens, middle);
  }
}

interface Run {
  readonly middle: string;
  readonly length: number;
  readonly seed: number;
}

/** Logits of some sequences after their prompts and each of 8 tokens more, all in one batch. */
async function rowsOf(runner: ModelRunner, runs: readonly Run[]): Promise<Float32Array[][]> {
  const all = runs.map(({ length, seed }) => new GivenTokens(somePrompt(length + 8, seed), length));
  const rows: Float32Array[][] = [];
  for (const [i, tokens] of all.entries()) {
    rows.push([await prefill(runner, tokens, runs[i]!.middle)]);
  }
  for (let step = 0; step < 8; step++) {
    for (const tokens of all) tokens.numTokens++;
    await runner.arrange(Infinity);
    const logits = await runner.decode();
    for (const [i, tokens] of all.entries()) rows[i]!.push(logits.get(tokens)!.slice());
  }
  for (const tokens of all) runner.release(tokens);
  return rows;
}

const mixed: readonly Run[] = [
  { middle: "code", length: 20, seed: 1 },
  { middle: "dense", length: 70, seed: 2 },
  { middle: "math", length: 5, seed: 3 },
  { middle: "code", length: 60, seed: 4 },
  { middle: "chat", length: 130, seed: 5 },
  { middle: "math", length: 33, seed: 6 },
  { middle: "code", length: 1, seed: 7 },
];

for (const format of ["q8", "f32"] as const) {
  test(`sequences on different middles in one batch have the bits they have alone: ${format}`, async (t) => {
    const loaded = await loadModel(t, tinyModel(expertModel), format);
    const runner = createRunner(loaded, await loadExperts(t, loaded, format, names));
    const together = await rowsOf(runner, mixed);
    for (const [i, run] of mixed.entries()) {
      t.deepEqual(together[i], (await rowsOf(runner, [run]))[0], `${run.middle} ${run.length}`);
    }
    const [onCode] = await rowsOf(runner, [mixed[0]!]);
    const [onDense] = await rowsOf(runner, [{ ...mixed[0]!, middle: "dense" }]);
    t.notDeepEqual(onCode, onDense);
    t.is(loaded.device.kvBytes, 0);
  });

  test(`a middle in segments gives the bits that it gives in one piece: ${format}`, async (t) => {
    const loaded = await loadModel(t, tinyModel(expertModel), format);
    const plan = tinyPlan(loaded.weights, "code", 1);
    const whole = await loadSegments(t, loaded, tinySegments(loaded.weights, format, plan, 1e9));
    const parts = await loadSegments(t, loaded, tinySegments(loaded.weights, format, plan));
    t.deepEqual([whole.length, parts.length], [1, 3]);
    const runner = createRunner(
      loaded,
      new Map([
        ["whole", whole],
        ["parts", parts],
      ]),
    );
    const run = { length: 75, seed: 1 };
    const [onWhole] = await rowsOf(runner, [{ ...run, middle: "whole" }]);
    const [onParts] = await rowsOf(runner, [{ ...run, middle: "parts" }]);
    t.deepEqual(onParts, onWhole);
  });
}

test("an expert's sequence needs no more KV memory than was reckoned with", async (t) => {
  const loaded = await loadModel(t, tinyModel(expertModel), "q8");
  const runner = createRunner(loaded, await loadExperts(t, loaded, "q8", names));
  for (const middle of ["dense", ...names]) {
    const tokens = new GivenTokens(somePrompt(100));
    await prefill(runner, tokens, middle);
    t.true(loaded.device.kvBytes <= runner.kvBytesFor(100), middle);
    runner.release(tokens);
  }
  t.is(loaded.device.kvBytes, 0);
});

test("a sequence that nobody gave a middle runs on dense", async (t) => {
  const loaded = await loadModel(t, tinyModel(expertModel), "q8");
  const runner = createRunner(loaded, new Map());
  const tokens = new GivenTokens(somePrompt(50));
  let step = await runner.prefill(tokens);
  while (step.kind !== "logits") step = await runner.prefill(tokens);
  const { logits } = step;
  runner.release(tokens);
  const given = new GivenTokens(somePrompt(50));
  t.deepEqual(logits, await prefill(runner, given, "dense"));
});

test("a middle leaves only when no sequence is on it, and its name is then free", async (t) => {
  const loaded = await loadModel(t, tinyModel(expertModel), "q8");
  const experts = await loadExperts(t, loaded, "q8", ["code"]);
  const runner = createRunner(loaded, experts);
  t.throws(() => runner.addMiddle("code", experts.get("code")!), { message: /code already/ });
  t.throws(() => runner.addMiddle("math", []), { message: /no stage/ });
  const tokens = new GivenTokens(somePrompt(50));
  await prefill(runner, tokens, "code");
  t.throws(() => runner.removeMiddle("code"), { message: /in use/ });
  runner.release(tokens);
  t.deepEqual(runner.removeMiddle("code"), experts.get("code")!);
  t.throws(() => runner.removeMiddle("code"), { message: /no middle code/ });
  runner.addMiddle("code", experts.get("code")!);
  t.pass();
});

test("a middle whose pass fails costs its own sequences, whose neighbours' bits stay the same", async (t) => {
  const loaded = await loadModel(t, tinyModel(expertModel), "q8");
  const experts = await loadExperts(t, loaded, "q8", names);
  let isFailing = false;
  const failing = experts.get("code")![1]!;
  const device = new WatchedDevice(loaded.device, {
    beforePass: (stages) => {
      if (isFailing && stages.includes(failing)) throw new InferenceError("no memory");
    },
  });
  const runner = createRunner({ ...loaded, device }, experts);
  const alone = await rowsOf(runner, [mixed[1]!]);
  const tokens = mixed.map(({ length, seed }) => {
    return new GivenTokens(somePrompt(length + 8, seed), length);
  });
  for (const [i, sequence] of tokens.entries()) {
    await prefill(runner, sequence, mixed[i]!.middle);
    sequence.numTokens++;
  }
  isFailing = true;
  await runner.arrange(Infinity);
  const lost: Tokens[] = [];
  const logits = await runner.decode(new Map(), (sequences, error) => {
    t.is((error as Error).message, "no memory");
    lost.push(...sequences);
  });
  const onCode = tokens.filter((_, i) => mixed[i]!.middle === "code");
  t.deepEqual(new Set(lost), new Set(onCode));
  t.is(logits.size, tokens.length - onCode.length);
  t.deepEqual(logits.get(tokens[1]!)!.slice(), alone[0]![1]);
  runner.removeMiddle("code");
  for (const sequence of tokens) runner.release(sequence);
  t.is(loaded.device.kvBytes, 0);
});

test("a text is scored as the plain pass scores it, in chunks of any size, to 1e-4", async (t) => {
  const weights = tinyModel(expertModel);
  const loaded = await loadModel(t, weights, "f32");
  const runner = createRunner(loaded, new Map());
  const ids = somePrompt(60);
  const { vocabSize } = weights.config;
  const expected = plainForward(weights, ids).subarray(25 * vocabSize);
  for (const chunk of [1, 16, 64]) {
    const tokens = new GivenTokens(ids);
    const rows: number[] = [];
    for (;;) {
      const step = await runner.score(tokens, { middle: "dense", chunk, from: 25 });
      if (step.kind === "end") break;
      if (step.kind === "logits") rows.push(...step.logits);
    }
    runner.release(tokens);
    t.is(rows.length, expected.length);
    t.true(rows.every((value, i) => Math.abs(value - expected[i]!) < 1e-4));
  }
  t.is(loaded.device.kvBytes, 0);
});
