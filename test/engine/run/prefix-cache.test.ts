import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import type { Device } from "../../../engine/device/device.ts";
import { ModelRunner } from "../../../engine/run/model-runner.ts";
import { PrefixCache } from "../../../engine/run/prefix-cache.ts";
import { PromptPool } from "../../../engine/sequence/prompt-pool.ts";
import { PromptReading } from "../../../engine/sequence/prompt-reading.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";
import { loadModel } from "../../helpers/loop-run.ts";
import type { LoadedStages } from "../../helpers/loop-run.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const chunk = 32;
const bigEnough = 2 ** 24;

function createRunner({ device, stages }: LoadedStages, prefixCacheBytes: number): ModelRunner {
  return new ModelRunner({ device, stages, prefillChunk: chunk, prefixCacheBytes });
}

interface Outcome {
  /** Of the last prompt token and of each token after it. */
  readonly rows: readonly Float32Array[];
  readonly numCached: number;
  /** Steps that the prefill took. */
  readonly numSteps: number;
}

/** Prefills all but the last `numDecoded` tokens and decodes those. */
async function run(
  runner: ModelRunner,
  tokenIds: readonly number[],
  { salt = "", middle = "dense", numDecoded = 3 }: RunOptions = {},
): Promise<Outcome> {
  const tokens = new GivenTokens(tokenIds, tokenIds.length - numDecoded, salt);
  let [step, numSteps] = [await runner.prefill(tokens), 1];
  while (step.kind !== "logits") {
    if (runner.needsMiddle(tokens)) await runner.setMiddle(tokens, middle);
    step = await runner.prefill(tokens);
    numSteps++;
  }
  const rows = [step.logits.slice()];
  const numCached = runner.numCachedOf(tokens);
  while (tokens.numTokens < tokenIds.length) {
    tokens.numTokens++;
    await runner.arrange(Infinity);
    rows.push((await runner.decode()).get(tokens)!.slice());
  }
  runner.release(tokens);
  return { rows, numCached, numSteps };
}

interface RunOptions {
  readonly salt?: string;
  readonly middle?: string;
  readonly numDecoded?: number;
}

async function loadBoth(t: ExecutionContext, format: "f32" | "q8" | "q4" = "q8") {
  const loaded = await loadModel(t, tinyModel(), format);
  return { loaded, cached: createRunner(loaded, bigEnough), plain: createRunner(loaded, 0) };
}

for (const format of ["q8", "f32", "q4"] as const) {
  test(`a prompt that comes again gives the same bits, and only its last chunk is computed: ${format}`, async (t) => {
    const { cached, plain } = await loadBoth(t, format);
    const ids = somePrompt(140);
    const expected = await run(plain, ids);
    const first = await run(cached, ids);
    const second = await run(cached, ids);
    t.deepEqual([first.numCached, second.numCached], [0, 128]);
    t.true(second.numSteps < first.numSteps);
    t.deepEqual(first.rows, expected.rows);
    t.deepEqual(second.rows, expected.rows);
  });
}

test("a prompt whose last chunk is full computes that chunk again, for its logits, and others need not", async (t) => {
  const { cached } = await loadBoth(t);
  const ids = somePrompt(99);
  t.is((await run(cached, ids)).numCached, 0);
  t.is((await run(cached, ids)).numCached, 64);
  t.is((await run(cached, [...ids.slice(0, 96), 1, 2, 3, 4])).numCached, 96);
});

test("prompts share what they have in common, to the chunk", async (t) => {
  const { cached, plain } = await loadBoth(t);
  const common = somePrompt(100);
  await run(cached, [...common, ...somePrompt(60, 1)]);
  const other = [...common, ...somePrompt(60, 2)];
  const outcome = await run(cached, other);
  t.is(outcome.numCached, 96);
  t.deepEqual(outcome.rows, (await run(plain, other)).rows);
  const unlike = [(common[0]! + 1) % 16, ...common.slice(1)];
  t.is((await run(cached, unlike)).numCached, 0);
});

test("prompts of different salts share nothing", async (t) => {
  const { cached } = await loadBoth(t);
  const ids = somePrompt(80);
  await run(cached, ids, { salt: "a" });
  t.is((await run(cached, ids, { salt: "b" })).numCached, 0);
  t.is((await run(cached, ids, { salt: "a" })).numCached, 64);
});

test("a salt that is made of another prompt's blocks cannot pass for them", (t) => {
  const cache = new PrefixCache({
    ...{ device: {} as Device, blockTokens: 2, blockBytes: 1 },
    maxBytes: 100,
  });
  const [first, second] = cache.chainOf(Uint32Array.of(1, 2, 3, 4), "");
  for (const salt of ["", first!]) t.not(cache.chainOf(Uint32Array.of(3, 4), salt)[0], second);
});

test("tokens that were decoded are not found: a prefill would give them other bits", async (t) => {
  const { cached } = await loadBoth(t);
  const ids = somePrompt(100);
  await run(cached, ids, { numDecoded: 60 });
  t.is((await run(cached, ids)).numCached, 32);
});

test("each middle has its own blocks, and the trunk's are every middle's", async (t) => {
  const { loaded, cached, plain } = await loadBoth(t);
  const { stages: other } = await loadModel(t, tinyModel({ seed: 7 }), "q8");
  for (const runner of [cached, plain]) runner.addMiddle("expert", other.middle);
  const ids = somePrompt(140);
  await run(cached, ids);
  const first = await run(cached, ids, { middle: "expert" });
  t.is(first.numCached, 0);
  const second = await run(cached, ids, { middle: "expert" });
  t.is(second.numCached, 128);
  const expected = await run(plain, ids, { middle: "expert" });
  t.deepEqual(first.rows, expected.rows);
  t.deepEqual(second.rows, expected.rows);
  t.is((await run(cached, ids)).numCached, 128);

  cached.removeMiddle("expert");
  cached.addMiddle("expert", loaded.stages.middle);
  const third = await run(cached, ids, { middle: "expert" });
  t.is(third.numCached, 0);
  t.deepEqual(third.rows, (await run(plain, ids)).rows);
});

test("who reads all positions of a prompt has all of them computed", async (t) => {
  const { cached } = await loadBoth(t);
  const ids = somePrompt(80);
  await run(cached, ids);
  const tokens = new GivenTokens(ids, 80, "");
  const reader = Object.assign(tokens, { reader: new PromptReading({ pool: new PromptPool() }) });
  let numSteps = 1;
  while ((await cached.prefill(reader)).kind !== "read") numSteps++;
  t.is(numSteps, 9, "three chunks in trunk, middle and head");
  t.is(cached.numCachedOf(reader), 0);
  cached.release(reader);
});

test("the cache stays within its bytes and gives all back at the end; a prompt may take half of it", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const probe = createRunner(loaded, bigEnough);
  await run(probe, somePrompt(36));
  const blockBytes = probe.prefixCacheBytes;
  t.true(blockBytes > 0);
  await probe.dispose();

  const again = await loadModel(t, tinyModel(), "q8");
  const runner = createRunner(again, 6 * blockBytes);
  const [first, second, third] = [1, 2, 3].map((seed) => somePrompt(200, seed));
  await run(runner, first!);
  t.is(runner.prefixCacheBytes, 3 * blockBytes);
  await run(runner, second!);
  t.is((await run(runner, first!)).numCached, 96);
  await run(runner, third!);
  t.is(runner.prefixCacheBytes, 6 * blockBytes);
  t.is((await run(runner, first!)).numCached, 96, "used after the second");
  t.is((await run(runner, second!)).numCached, 0);
  await runner.dispose();
  t.is(runner.prefixCacheBytes, 0);
  t.is(again.device.kvBytes, 0);
});

test("a cache never changes an answer, whatever prompts come in whatever order and however small it is", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const plain = createRunner(loaded, 0);
  const promptArbitrary = fc.record({
    numCommon: fc.integer({ min: 1, max: 130 }),
    numOwn: fc.integer({ min: 4, max: 70 }),
    seed: fc.integer({ min: 1, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(promptArbitrary, { minLength: 2, maxLength: 6 }),
      fc.constantFrom(20_000, 60_000, bigEnough),
      async (prompts, bytes) => {
        const runner = createRunner(loaded, bytes);
        for (const { numCommon, numOwn, seed } of prompts) {
          const ids = [...somePrompt(numCommon), ...somePrompt(numOwn, seed)];
          const [own, expected] = [await run(runner, ids), await run(plain, ids)];
          if (!sameBits(own, expected)) return false;
          if (runner.prefixCacheBytes > bytes) return false;
        }
        return true;
      },
    ),
    { numRuns: 15 },
  );
  t.pass();
});

function sameBits(a: Outcome, b: Outcome): boolean {
  return a.rows.every((row, i) => row.every((value, j) => value === b.rows[i]![j]));
}
