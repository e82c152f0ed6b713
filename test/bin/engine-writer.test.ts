import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { EngineWriter } from "../../bin/engine-writer.ts";
import { openModelSession } from "../../bin/model-session.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

async function writerOf(t: ExecutionContext, signal?: AbortSignal) {
  const cacheDir = tempDir(t);
  const model = join(cacheDir, "tiny.gguf");
  writeTinyGguf(model);
  const session = await openModelSession({ model, cacheDir, env: {}, log: (line) => t.log(line) });
  const writer = new EngineWriter({
    modelPath: session.path,
    tokenizer: session.tokenizer,
    vocabSize: session.weights.config.vocabSize,
    maxSequenceTokens: 64,
    concurrency: 4,
    numThreads: 1,
    ...(signal && { signal }),
  });
  t.teardown(async () => {
    await writer.close();
    session.close();
  });
  return { writer, tokenizer: session.tokenizer };
}

test("an answer follows from prompt and seed, whoever is written for at the same time", async (t) => {
  const { writer, tokenizer } = await writerOf(t);
  const prompt = tokenizer.encode("Tell me", { parseSpecial: false });
  const alone = await writer.write(prompt, 20, 3);
  const together = await Promise.all([3, 4, 5, 3].map((seed) => writer.write(prompt, 20, seed)));
  t.true(alone.length > 0 && alone.length <= 20);
  t.deepEqual(together[0], alone);
  t.deepEqual(together[3], alone);
  t.notDeepEqual(together[1], alone);
});

test("an abort ends answers in the making with its reason", async (t) => {
  const abort = new AbortController();
  const { writer, tokenizer } = await writerOf(t, abort.signal);
  const prompt = tokenizer.encode("Tell me", { parseSpecial: false });
  await writer.write(prompt, 2, 1);
  const answer = writer.write(prompt, 50, 1);
  abort.abort(new Error("enough"));
  await t.throwsAsync(answer, { message: "enough" });
});

test("a writer that was never used closes, and one of a missing model says so", async (t) => {
  const { writer, tokenizer } = await writerOf(t);
  await writer.close();
  const lost = new EngineWriter({
    modelPath: "/nowhere/model.gguf",
    tokenizer,
    vocabSize: 10,
    maxSequenceTokens: 64,
    concurrency: 4,
    numThreads: 1,
  });
  await t.throwsAsync(lost.write(Uint32Array.of(1), 2, 1), { message: /nowhere.model\.gguf/ });
  await lost.close();
});
