import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import {
  type ExtendOptions,
  extendWithAnswers,
  type Writer,
} from "../../../prune/tasks/calibration-text.ts";
import type { TokenSequence } from "../../../prune/tasks/corpus-encoder.ts";
import { CorpusError } from "../../../prune/errors.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

const options: ExtendOptions = {
  minTokens: 200,
  maxSequenceTokens: 32,
  maxAnswerTokens: 32,
  seed: 5,
  concurrency: 3,
  model: "hash",
};

const sequences: readonly TokenSequence[] = [
  { tokenIds: Uint32Array.of(1, 2, 3, 4, 5), numPromptTokens: 3 },
  { tokenIds: Uint32Array.of(6, 7), numPromptTokens: 2 },
  { tokenIds: Uint32Array.of(8, 9), numPromptTokens: 0 },
];

/** Writes as many tokens as the seed's last digit says, and notes what it was asked for. */
class SeedWriter implements Writer {
  readonly asked: { readonly prompt: readonly number[]; readonly seed: number }[] = [];
  readonly #delay: (seed: number) => Promise<void>;

  constructor(delay: (seed: number) => Promise<void> = () => Promise.resolve()) {
    this.#delay = delay;
  }

  async write(promptIds: Uint32Array, maxTokens: number, seed: number): Promise<Uint32Array> {
    this.asked.push({ prompt: [...promptIds], seed });
    await this.#delay(seed);
    return new Uint32Array(Math.min(maxTokens, seed % 10)).fill(seed);
  }
}

function countTokens(list: readonly TokenSequence[]): number {
  return list.reduce((total, { tokenIds }) => total + tokenIds.length, 0);
}

test("a corpus that is long enough is left alone", async (t) => {
  const writer = new SeedWriter();
  const store = new ArtifactStore(tempDir(t));
  t.is(await extendWithAnswers(sequences, writer, store, { ...options, minTokens: 9 }), sequences);
  t.deepEqual(writer.asked, []);
});

test("prompts are answered in turn with another seed each until the tokens suffice", async (t) => {
  const writer = new SeedWriter();
  const extended = await extendWithAnswers(
    sequences,
    writer,
    new ArtifactStore(tempDir(t)),
    options,
  );
  t.deepEqual(extended.slice(0, 3), sequences);
  t.deepEqual(writer.asked.slice(0, 4), [
    { prompt: [1, 2, 3], seed: 5 },
    { prompt: [6, 7], seed: 6 },
    { prompt: [1, 2, 3], seed: 7 },
    { prompt: [6, 7], seed: 8 },
  ]);
  t.deepEqual(extended[3], {
    tokenIds: Uint32Array.of(1, 2, 3, 5, 5, 5, 5, 5),
    numPromptTokens: 3,
  });
  t.true(countTokens(extended) >= 200);
  t.true(countTokens(extended.slice(0, -1)) < 200);
});

test("the answers do not depend on which is ready first or how many are written at once", async (t) => {
  const slowFirst = async (seed: number): Promise<void> => {
    for (let turn = 0; turn < (seed % 3 === 0 ? 20 : 1); turn++) await Promise.resolve();
  };
  const [one, many] = await Promise.all(
    [1, 8].map((concurrency) =>
      extendWithAnswers(sequences, new SeedWriter(slowFirst), new ArtifactStore(tempDir(t)), {
        ...options,
        concurrency,
      }),
    ),
  );
  t.deepEqual(many, one);
});

test("a long answer does not keep others from being written meanwhile", async (t) => {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const writer = new SeedWriter(async (seed) => {
    if (seed === options.seed) await released;
    else if (seed === options.seed + 9) release();
  });
  const extended = await extendWithAnswers(
    sequences,
    writer,
    new ArtifactStore(tempDir(t)),
    options,
  );
  t.true(countTokens(extended) >= 200);
});

test("what was written is kept, until it is damaged", async (t) => {
  const dir = tempDir(t);
  const store = new ArtifactStore(dir);
  const writer = new SeedWriter();
  const lines: string[] = [];
  const run = () =>
    extendWithAnswers(sequences, writer, store, { ...options, log: (line) => lines.push(line) });
  const first = await run();
  const asked = writer.asked.length;
  t.deepEqual(await run(), first);
  t.is(writer.asked.length, asked);
  const key = readdirSync(dir).find((name) => name.startsWith("answers-"))!;
  writeFileSync(join(dir, key, "answers.json"), "[]");
  t.deepEqual(await run(), first);
  t.is(writer.asked.length, 2 * asked);
  t.regex(lines.join("\n"), /answers\.json: has 2 bytes.*writing answers again/);
});

test("a model that answers nothing and a corpus without prompts are errors", async (t) => {
  const silent: Writer = { write: () => Promise.resolve(new Uint32Array()) };
  const store = new ArtifactStore(tempDir(t));
  const expected = { instanceOf: CorpusError, message: /has 9 tokens, expected at least 200/ };
  await t.throwsAsync(extendWithAnswers(sequences, silent, store, options), expected);
  const texts = [{ tokenIds: new Uint32Array(9), numPromptTokens: 0 }];
  await t.throwsAsync(extendWithAnswers(texts, new SeedWriter(), store, options), expected);
});

test("a failing writer and an abort end the run", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  const failing: Writer = {
    write: (_prompt, _maxTokens, seed) =>
      seed === 9 ? Promise.reject(new Error("broken")) : Promise.resolve(Uint32Array.of(1)),
  };
  await t.throwsAsync(extendWithAnswers(sequences, failing, store, options), { message: "broken" });
  const abort = new AbortController();
  const run = extendWithAnswers(sequences, new SeedWriter(), store, {
    ...options,
    signal: abort.signal,
    onProgress: () => abort.abort(new Error("enough")),
  });
  await t.throwsAsync(run, { message: "enough" });
  t.deepEqual(await store.keys(), []);
});
