import test from "ava";
import type { CpuStage } from "../../../engine/device/cpu-stage.ts";
import { InferenceError } from "../../../engine/contract/errors.ts";
import { ModelRunner } from "../../../engine/run/model-runner.ts";
import type { Tokens } from "../../../engine/contract/tokens.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";
import { loadModel } from "../../helpers/loop-run.ts";
import type { LoadedStages } from "../../helpers/loop-run.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { WatchedDevice } from "../../helpers/watched-device.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

async function prefill(runner: ModelRunner, tokens: Tokens): Promise<Float32Array> {
  for (;;) {
    const step = await runner.prefill(tokens);
    if (step.kind === "logits") return step.logits;
  }
}

/** Logits after each of the tokens from `promptLength` on, with the first ones prefilled. */
async function logitsAlong(
  runner: ModelRunner,
  tokenIds: readonly number[],
  promptLength: number,
): Promise<Float32Array[]> {
  const tokens = new GivenTokens(tokenIds, promptLength);
  const rows = [await prefill(runner, tokens)];
  while (tokens.numTokens < tokenIds.length) {
    tokens.numTokens++;
    await runner.arrange(Infinity);
    rows.push((await runner.decode()).get(tokens)!.slice());
  }
  runner.release(tokens);
  return rows;
}

function largestDifference(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  return Math.max(...a.map((row, i) => Math.max(...row.map((x, j) => Math.abs(x - b[i]![j]!)))));
}

function createRunner({ device, stages }: LoadedStages, prefillChunk = 32): ModelRunner {
  return new ModelRunner({ device, stages, prefillChunk });
}

/** The last rows of the plain forward pass, `[numTokens - promptLength + 1][vocabSize]`. */
function plainRows({ weights }: LoadedStages, tokenIds: readonly number[], promptLength: number) {
  const logits = plainForward(weights, tokenIds);
  const { vocabSize } = weights.config;
  return Array.from({ length: tokenIds.length - promptLength + 1 }, (_, i) => {
    const start = (promptLength - 1 + i) * vocabSize;
    return logits.subarray(start, start + vocabSize);
  });
}

test("tokens decoded one by one across capacity classes give the plain pass over all, to 1e-4", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "f32");
  const ids = somePrompt(140);
  const rows = await logitsAlong(createRunner(loaded), ids, 60);
  t.true(largestDifference(rows, plainRows(loaded, ids, 60)) < 1e-4);
});

test("a prompt in chunks of any size gives the plain pass's logits, to 1e-4", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "f32");
  const ids = somePrompt(150);
  const expected = plainRows(loaded, ids, 147);
  for (const chunk of [1, 7, 64, 147, 512]) {
    const rows = await logitsAlong(createRunner(loaded, chunk), ids, 147);
    t.true(largestDifference(rows, expected) < 1e-4, `chunks of ${chunk}`);
  }
});

const lengths = [3, 10, 40, 60, 63, 64, 70, 100, 120, 126, 127, 128, 129, 200, 250, 256];

/** The rows of 16 sequences of `lengths`, decoded 12 tokens in batches of `batchSize`. */
async function batchedRows(loaded: LoadedStages, batchSize: number): Promise<Float32Array[][]> {
  const runner = createRunner(loaded);
  const all: Float32Array[][] = [];
  for (let first = 0; first < lengths.length; first += batchSize) {
    const batch = lengths
      .slice(first, first + batchSize)
      .map((length, i) => new GivenTokens(somePrompt(length + 12, first + i), length));
    const rows: Float32Array[][] = [];
    for (const tokens of batch) rows.push([await prefill(runner, tokens)]);
    for (let step = 0; step < 12; step++) {
      for (const tokens of batch) tokens.numTokens++;
      await runner.arrange(Infinity);
      const logits = await runner.decode();
      for (const [i, tokens] of batch.entries()) rows[i]!.push(logits.get(tokens)!.slice());
    }
    for (const tokens of batch) runner.release(tokens);
    all.push(...rows);
  }
  return all;
}

for (const format of ["q8", "f32"] as const) {
  test(`the logits of a sequence are the same bits at any batch size: ${format}`, async (t) => {
    const loaded = await loadModel(t, tinyModel(), format);
    const alone = await batchedRows(loaded, 1);
    for (const batchSize of [2, 3, 5, 8, 16]) {
      const rows = await batchedRows(loaded, batchSize);
      t.true(
        rows.every((row, i) => largestDifference(row, alone[i]!) === 0),
        `batches of ${batchSize}`,
      );
    }
  });
}

for (const [title, format, options, tolerance] of [
  ["4-bit weights", "q4", {}, 0.3],
  ["8-bit weights and one KV head", "q8", { numKvHeads: 1 }, 0.3],
  ["fp32 weights and one KV head", "f32", { numKvHeads: 1 }, 1e-4],
] as const) {
  test(`the logits of a sequence hardly depend on the batch size, by ${tolerance} at most: ${title}`, async (t) => {
    const loaded = await loadModel(t, tinyModel(options), format);
    const alone = await batchedRows(loaded, 1);
    for (const batchSize of [2, 5, 16]) {
      const rows = await batchedRows(loaded, batchSize);
      const difference = Math.max(...rows.map((row, i) => largestDifference(row, alone[i]!)));
      t.true(difference < tolerance, `batches of ${batchSize}: ${difference}`);
    }
  });
}

test("a larger class than needed changes no bit", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const ids = somePrompt(62);
  const alone = await logitsAlong(createRunner(loaded), ids, 50);
  const runner = createRunner(loaded);
  // Its class is 128, which the sequence under test then shares instead of 64.
  const neighbour = new GivenTokens(somePrompt(100, 2), 70);
  await prefill(runner, neighbour);
  const tokens = new GivenTokens(ids, 50);
  const rows = [await prefill(runner, tokens)];
  while (tokens.numTokens < ids.length) {
    tokens.numTokens++;
    neighbour.numTokens++;
    await runner.arrange(Infinity);
    rows.push((await runner.decode()).get(tokens)!.slice());
  }
  t.is(largestDifference(rows, alone), 0);
});

test("released sequences leave no KV memory behind", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const runner = createRunner(loaded, 16);
  const sequences = [20, 70, 200].map((length) => new GivenTokens(somePrompt(length + 1), length));
  for (const tokens of sequences.slice(0, 2)) {
    await prefill(runner, tokens);
    tokens.numTokens++;
  }
  await runner.arrange(Infinity);
  await runner.decode();
  await runner.prefill(sequences[2]!); // the first part only
  t.true(loaded.device.kvBytes > 0);
  for (const tokens of sequences) {
    runner.release(tokens);
    runner.release(tokens);
  }
  t.is(loaded.device.kvBytes, 0);
});

test("the KV bytes of a length are those of its class, in all layers", async (t) => {
  const runner = createRunner(await loadModel(t, tinyModel(), "q8"));
  // 5 layers of 2 KV heads of 16, keys and values in fp32; a tail of 32 positions
  t.is(runner.kvBytesFor(1), (64 + 32) * 5 * 2 * 16 * 2 * 4);
  t.is(runner.kvBytesFor(65), (128 + 32) * 5 * 2 * 16 * 2 * 4);
});

test("two sequences of different lengths share one batch where memory allows, else two", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  let numPasses = 0;
  const trunk = loaded.stages.trunk as CpuStage;
  const run = trunk.run.bind(trunk);
  trunk.run = (pass) => {
    numPasses++;
    return run(pass);
  };
  const runner = createRunner(loaded);
  const sequences = [20, 100].map((length) => new GivenTokens(somePrompt(length + 2), length));
  for (const tokens of sequences) {
    await prefill(runner, tokens);
    tokens.numTokens++;
  }
  numPasses = 0;
  await runner.arrange(Infinity);
  await runner.decode();
  t.is(numPasses, 1);
  await runner.arrange(runner.kvBytesFor(64) + runner.kvBytesFor(128));
  await runner.decode();
  t.is(numPasses, 3);
});

const partNames = ["trunk", "middle", "head"];

test("a pass that fails leaves no hidden states and, once released, no KV behind", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  let failing = "";
  const { trunk, middle, head } = loaded.stages;
  const names = new Map([trunk, middle[0]!, head].map((stage, i) => [stage, partNames[i]!]));
  const device = new WatchedDevice(loaded.device, {
    beforePass: ([stage]) => {
      if (names.get(stage!) === failing) throw new InferenceError(`${failing} failed`);
    },
  });
  const { live } = device;
  const runner = new ModelRunner({ device, stages: loaded.stages, prefillChunk: 16 });
  for (failing of partNames) {
    const tokens = new GivenTokens(somePrompt(40));
    await t.throwsAsync(prefill(runner, tokens), { message: `${failing} failed` });
    runner.release(tokens);
    t.is(live.size, 0, `prefill, ${failing}`);
  }
  for (const name of partNames) {
    failing = "";
    const tokens = [20, 300].map((length) => new GivenTokens(somePrompt(length + 1), length));
    for (const sequence of tokens) {
      await prefill(runner, sequence);
      sequence.numTokens++;
    }
    await runner.arrange(Infinity);
    failing = name;
    await t.throwsAsync(runner.decode(), { message: `${name} failed` });
    for (const sequence of tokens) runner.release(sequence);
    t.is(live.size, 0, `decode, ${name}`);
  }
  t.is(loaded.device.kvBytes, 0);
});
