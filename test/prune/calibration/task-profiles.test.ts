import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { openModelSession } from "../../../bin/model-session.ts";
import type { Writer } from "../../../prune/tasks/calibration-text.ts";
import type { CorpusRow } from "../../../prune/tasks/corpus.ts";
import { splitCorpus } from "../../../prune/tasks/corpus.ts";
import { CorpusError } from "../../../prune/errors.ts";
import { generalTask, TaskProfiles } from "../../../prune/calibration/task-profiles.ts";
import type { TaskProfilesOptions } from "../../../prune/calibration/task-profiles.ts";
import { TaskTexts } from "../../../prune/tasks/task-texts.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { writeTinyGguf } from "../../helpers/tiny-gguf.ts";

/** Answers with as many times the seed's token as asked for, up to 30 or another number. */
class FakeWriter implements Writer {
  readonly seeds: number[] = [];
  answerTokens = 30;

  write(_prompt: Uint32Array, maxTokens: number, seed: number): Promise<Uint32Array> {
    this.seeds.push(seed);
    return Promise.resolve(
      new Uint32Array(Math.min(this.answerTokens, maxTokens)).fill(seed % 200),
    );
  }
}

const prompt = (content: string, response?: string): CorpusRow => ({
  kind: "chat",
  messages: [
    { role: "user", content },
    ...(response === undefined ? [] : [{ role: "assistant", content: response }]),
  ],
});

const prompts = Array.from({ length: 60 }, (_, i) => prompt(`Question ${i}`));
const answered = Array.from({ length: 60 }, (_, i) => prompt(`Question ${i}`, `Answer ${i}. `));

async function setUp(t: ExecutionContext, options: Partial<TaskProfilesOptions> = {}) {
  const cacheDir = tempDir(t);
  const model = join(cacheDir, "tiny.gguf");
  writeTinyGguf(model);
  const session = await openModelSession({ model, cacheDir, env: {}, log: (line) => t.log(line) });
  t.teardown(() => session.close());
  const { weights, store, encoder, tokenizer } = session;
  const writer = new FakeWriter();
  const { onProgress, ...rest } = options;
  const texts = {
    encoder,
    corpora: new Map([
      ["asked", () => prompts],
      ["answered", () => answered],
    ]),
    writer,
    eosTokenIds: tokenizer.eosTokenIds,
    heldOutShare: 0.2,
    ...rest,
  };
  return {
    ...session,
    writer,
    profiles: new TaskProfiles(weights, store, {
      ...texts,
      tokensPerTask: 1000,
      numThreads: 1,
      ...(onProgress && { onProgress }),
    }),
    texts: new TaskTexts(store, { ...texts, model: weights.contentHash }),
  };
}

const total = (sequences: readonly Uint32Array[]): number =>
  sequences.reduce((sum, { length }) => sum + length, 0);

test("prompts come with written answers, cut to the tokens that were asked for", async (t) => {
  const { texts, writer, encoder } = await setUp(t);
  const sequences = await texts.calibration("asked", 1000);
  t.is(total(sequences), 1000);
  t.true(writer.seeds.length > 0);
  const [first] = splitCorpus(prompts, 0.2).calibration;
  const [asked] = encoder.encode([first!], { maxSequenceTokens: 512 });
  t.deepEqual(sequences[0]!.subarray(0, asked!.tokenIds.length), asked!.tokenIds);
  t.is(sequences[0]!.length, asked!.tokenIds.length + 30);
});

test("many tokens are the beginning of more, and their answers are not written again", async (t) => {
  const { texts, writer } = await setUp(t);
  const many = await texts.calibration("asked", 12_000);
  const asked = writer.seeds.length;
  const few = await texts.calibration("asked", 9000);
  t.deepEqual(few.slice(0, -1), many.slice(0, few.length - 1));
  t.is(writer.seeds.length, asked);
});

test("few tokens are of several answers", async (t) => {
  const { texts, writer, encoder } = await setUp(t);
  writer.answerTokens = 400;
  const sequences = await texts.calibration("asked", 1600);
  const [first] = splitCorpus(prompts, 0.2).calibration;
  const [prompt] = encoder.encode([first!], { maxSequenceTokens: 512 });
  t.is(sequences[0]!.length, prompt!.tokenIds.length + 100);
  // No more were asked for than it took, or hardly.
  t.true(writer.seeds.length <= sequences.length + 2);
});

test("answers of the rows come first, and others only where those do not suffice", async (t) => {
  const { texts, writer, encoder } = await setUp(t);
  const rows = splitCorpus(answered, 0.2).calibration;
  const own = encoder.encode(rows, { maxSequenceTokens: 512 }).map(({ tokenIds }) => tokenIds);
  t.deepEqual(await texts.calibration("answered", total(own)), own);
  t.deepEqual(writer.seeds, []);
  const more = await texts.calibration("answered", total(own) + 50);
  t.deepEqual(more.slice(0, own.length), own);
  t.is(total(more), total(own) + 50);
});

test("without a writer the corpus is taken as it is", async (t) => {
  const { texts } = await setUp(t, { writer: null });
  t.true(total(await texts.calibration("asked", 100_000)) > 0);
  t.true((await texts.heldOut("answered", 100_000)).length > 3);
});

test("running text that is short is used, and a line says so", async (t) => {
  const lines: string[] = [];
  const rows = Array.from({ length: 40 }, (_, i): CorpusRow => ({ kind: "text", text: `T${i}` }));
  const { texts, writer } = await setUp(t, {
    corpora: new Map([["text", () => rows]]),
    log: (line) => lines.push(line),
  });
  const tokens = total(await texts.calibration("text", 1000));
  t.true(tokens > 0 && tokens < 1000);
  t.regex(lines[0]!, /Task text has \d+ tokens of text, fewer than 1000/);
  t.deepEqual(writer.seeds, []);
});

test("held-out texts are none that were calibrated with, and only their answers count", async (t) => {
  const { texts, encoder } = await setUp(t);
  const judged = await texts.heldOut("asked", 400);
  t.true(judged.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0) >= 400);
  const known = splitCorpus(prompts, 0.2).heldOut;
  const starts = encoder
    .encode(known, { maxSequenceTokens: 512 })
    .map(({ tokenIds }) => tokenIds.join());
  for (const { tokenIds, firstScored } of judged) {
    t.true(starts.includes(tokenIds.subarray(0, firstScored).join()));
    t.is(tokenIds.length - firstScored, 30);
  }
});

test("too few held-out rows are an error that says how many are enough", async (t) => {
  const { texts } = await setUp(t, { heldOutShare: 0 });
  const error = await t.throwsAsync(texts.heldOut("asked", 10), { instanceOf: CorpusError });
  t.regex(error.message, /Task asked: 0 of its 60 rows are held out.*at least 4/);
});

test("a task without a corpus is an error that names those with one", async (t) => {
  const { profiles } = await setUp(t);
  const error = await t.throwsAsync(profiles.profileOf("other"), { instanceOf: CorpusError });
  t.regex(error.message, /other.*asked, answered/);
});

test("a profile is calibrated once, however many ask at the same time", async (t) => {
  let numReads = 0;
  const { profiles, store } = await setUp(t, {
    corpora: new Map([["asked", () => (numReads++, prompts)]]),
  });
  const [one, two] = await Promise.all([profiles.profileOf("asked"), profiles.profileOf("asked")]);
  t.is(one, two);
  t.is(await profiles.profileOf("asked"), one);
  t.is(numReads, 1);
  t.is(one.info.corpus.numTokens, 1000);
  t.true(one.info.recipe.withComoment);
  t.is((await store.keys()).filter((key) => key.startsWith("profile-")).length, 1);
});

test("the general profile is of equal parts of all tasks", async (t) => {
  const { profiles, texts } = await setUp(t);
  const general = await profiles.general();
  t.is(general.info.corpus.numTokens, 1000);
  const parts = [
    ...(await texts.calibration("asked", 500)),
    ...(await texts.calibration("answered", 500)),
  ];
  t.is(general.info.corpus.numSequences, parts.length);
  t.is((await profiles.general(0.25)).info.corpus.numTokens, 250);
  t.is(await profiles.general(), general);
  t.true((await profiles.heldOut(generalTask)).length > (await texts.heldOut("asked", 999)).length);
});

test("progress tells what is done for which task", async (t) => {
  const seen = new Map<string, number>();
  const { profiles } = await setUp(t, {
    onProgress: (phase, task, done, all) => seen.set(`${phase} ${task}`, done / all),
  });
  await profiles.profileOf("asked");
  t.deepEqual([...seen.keys()], ["write asked", "calibrate asked"]);
  t.is(seen.get("calibrate asked"), 1);
});

test("an abort ends the writing, and what was written is kept", async (t) => {
  const abort = new AbortController();
  const { profiles, store } = await setUp(t, {
    signal: abort.signal,
    onProgress: () => abort.abort(new Error("enough")),
  });
  await t.throwsAsync(profiles.profileOf("asked"), { message: "enough" });
  const keys = await store.keys();
  t.true(keys.every((key) => key.startsWith("part-answers-")) && keys.length === 1);
});
