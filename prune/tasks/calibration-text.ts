import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { z } from "zod";
import { ArtifactError } from "../../model/errors.ts";
import type { Artifact, ArtifactStore } from "../../model/experts/artifact-store.ts";
import type { TokenSequence } from "./corpus-encoder.ts";
import { CorpusError } from "../errors.ts";

/** The dense model, sampling. */
export interface Writer {
  /**
   * Tokens after the prompt, at most `maxTokens`, fewer when the model ends its answer. The same seed
   * gives the same tokens.
   */
  write(promptIds: Uint32Array, maxTokens: number, seed: number): Promise<Uint32Array>;
}

export interface ExtendOptions {
  /** Tokens that the corpus shall have. */
  readonly minTokens: number;
  /** Longest prompt with its answer. */
  readonly maxSequenceTokens: number;
  /** Longest answer. */
  readonly maxAnswerTokens: number;
  readonly seed: number;
  /** Answers written at the same time, at most. */
  readonly concurrency: number;
  /** Content hash of the model that writes. */
  readonly model: string;
  readonly onProgress?: (numTokens: number, minTokens: number) => void;
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** Grows when the same options give other answers. */
export const answersVersion = 1;
const answersFileName = "answers.json";

const answersSchema = z.array(
  z.strictObject({ tokenIds: z.array(z.int().nonnegative()), numPromptTokens: z.int() }),
);

/**
 * A corpus of at least `minTokens` tokens: the sequences themselves and, where they are too few, answers
 * that the dense model writes to their prompts, several to a prompt, round after round. What was written
 * is kept in the store for the same corpus and options.
 * @throws CorpusError when no prompt leads to an answer, whatever the writer throws, the signal's reason
 */
export async function extendWithAnswers(
  sequences: readonly TokenSequence[],
  writer: Writer,
  store: ArtifactStore,
  options: ExtendOptions,
): Promise<readonly TokenSequence[]> {
  const missing = options.minTokens - countTokens(sequences);
  if (missing <= 0) return sequences;
  const key = answersKey(sequences, options);
  let artifact: Artifact | null = null;
  try {
    artifact = await store.read(key);
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    options.log?.(`${error.message}: writing answers again`);
  }
  if (artifact !== null) return [...sequences, ...readAnswers(artifact)];
  const answers = await writeAnswers(sequences, writer, missing, options);
  const stored = answers.map(({ tokenIds, numPromptTokens }) => ({
    tokenIds: [...tokenIds],
    numPromptTokens,
  }));
  const content = Buffer.from(JSON.stringify(stored));
  await store.write(key, { version: answersVersion }, [[answersFileName, [content]]]);
  return [...sequences, ...answers];
}

function countTokens(sequences: readonly TokenSequence[]): number {
  return sequences.reduce((total, { tokenIds }) => total + tokenIds.length, 0);
}

function answersKey(sequences: readonly TokenSequence[], options: ExtendOptions): string {
  const { minTokens, maxSequenceTokens, maxAnswerTokens, seed, model } = options;
  const recipe = { answersVersion, minTokens, maxSequenceTokens, maxAnswerTokens, seed, model };
  const hash = createHash("sha256").update(JSON.stringify(recipe));
  for (const { tokenIds, numPromptTokens } of sequences) {
    hash.update(`\n${tokenIds.length} ${numPromptTokens}\n`).update(tokenIds);
  }
  return `answers-${hash.digest("hex").slice(0, 32)}`;
}

function readAnswers(artifact: Artifact): TokenSequence[] {
  const text = readFileSync(artifact.path(answersFileName), "utf8");
  return answersSchema.parse(JSON.parse(text)).map(({ tokenIds, numPromptTokens }) => ({
    tokenIds: Uint32Array.from(tokenIds),
    numPromptTokens,
  }));
}

/**
 * Answers of together at least `missing` tokens, their prompts counted. They are taken in the order in
 * which they were asked for, so the result does not depend on which is ready first.
 */
async function writeAnswers(
  sequences: readonly TokenSequence[],
  writer: Writer,
  missing: number,
  options: ExtendOptions,
): Promise<TokenSequence[]> {
  const { maxSequenceTokens, maxAnswerTokens, concurrency } = options;
  const { seed, minTokens, signal, onProgress } = options;
  const prompts = sequences
    .map(({ tokenIds, numPromptTokens }) => tokenIds.subarray(0, numPromptTokens))
    .filter(({ length }) => length > 0 && length < maxSequenceTokens);
  const answers: TokenSequence[] = [];
  let written = 0;
  let emptyInARow = 0;
  const roomAfter = (prompt: Uint32Array) =>
    Math.min(maxSequenceTokens - prompt.length, maxAnswerTokens);
  const guess = prompts.reduce((sum, prompt) => sum + prompt.length + roomAfter(prompt), 0);
  /** In order, also those that are ready while one before them is not. */
  const running: Promise<TokenSequence>[] = [];
  const unfinished = new Set<Promise<TokenSequence>>();
  const ready = { count: 0, tokens: 0 };
  /** More are asked for only while those that are being written will hardly be enough. */
  const isEnough = (): boolean => {
    const typical = ready.tokens > 0 ? ready.tokens / ready.count : guess / prompts.length;
    return running.length > 0 && ready.tokens + unfinished.size * typical >= missing;
  };
  const ask = async (index: number): Promise<TokenSequence> => {
    const prompt = prompts[index % prompts.length]!;
    const answer = await writer.write(prompt, roomAfter(prompt), seed + index);
    return { tokenIds: joinIds(prompt, answer), numPromptTokens: prompt.length };
  };
  const start = (index: number): void => {
    const answer = ask(index);
    running.push(answer);
    unfinished.add(answer);
    void answer.then(
      ({ tokenIds, numPromptTokens }) => {
        unfinished.delete(answer);
        const isEmpty = tokenIds.length === numPromptTokens;
        ready.count += 1;
        ready.tokens += isEmpty ? 0 : tokenIds.length;
      },
      () => unfinished.delete(answer),
    );
  };
  try {
    for (let next = 0; written < missing;) {
      if (emptyInARow >= prompts.length) {
        throw new CorpusError(
          `The corpus has ${minTokens - missing} tokens, expected at least ${minTokens}, and the ` +
            `model wrote no answer to any of its ${prompts.length} prompts.`,
        );
      }
      signal?.throwIfAborted();
      while (unfinished.size < concurrency && !isEnough()) start(next++);
      const [first] = running as [Promise<TokenSequence>];
      if (unfinished.has(first)) {
        await Promise.race(unfinished);
        continue;
      }
      const answer = await first;
      void running.shift();
      const isEmpty = answer.tokenIds.length === answer.numPromptTokens;
      emptyInARow = isEmpty ? emptyInARow + 1 : 0;
      if (isEmpty) continue;
      answers.push(answer);
      written += answer.tokenIds.length;
      onProgress?.(minTokens - missing + written, minTokens);
    }
  } finally {
    // Those that are no longer wanted end before the writer is let go.
    await Promise.allSettled(running);
  }
  return answers;
}

function joinIds(prompt: Uint32Array, answer: Uint32Array): Uint32Array {
  const ids = new Uint32Array(prompt.length + answer.length);
  ids.set(prompt);
  ids.set(answer, prompt.length);
  return ids;
}
