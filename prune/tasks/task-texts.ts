import { createHash } from "node:crypto";
import type { ArtifactStore } from "../../model/experts/artifact-store.ts";
import { extendWithAnswers } from "./calibration-text.ts";
import type { Writer } from "./calibration-text.ts";
import type { CorpusEncoder, TokenSequence } from "./corpus-encoder.ts";
import { splitCorpus } from "./corpus.ts";
import type { CorpusRow } from "./corpus.ts";
import { CorpusError } from "../errors.ts";
import { encodeTexts } from "./text-tasks.ts";
import type { ScoredSequence } from "../scoring/scoring-batches.ts";
import { KeptAnswers } from "./kept-answers.ts";

export interface TaskTextsOptions {
  readonly encoder: CorpusEncoder;
  /** Reads the rows of each task when they are first needed. */
  readonly corpora: ReadonlyMap<string, () => readonly CorpusRow[]>;
  /** Writes answers where rows have none or are too few; null takes the rows as they are. */
  readonly writer: Writer | null;
  /** Answers written at the same time. @default 16 */
  readonly concurrency?: number;
  /** Tokens that end a turn. */
  readonly eosTokenIds: readonly number[];
  /** Content hash of the model that writes. */
  readonly model: string;
  /** Share of the rows to judge with, 0 to 1; 0 where those come from elsewhere. */
  readonly heldOutShare: number;
  /** @default 512 */
  readonly maxSequenceTokens?: number;
  /** @default 1 */
  readonly seed?: number;
  /** Called with the tokens of the answers written so far. */
  readonly onProgress?: (task: string, done: number, total: number) => void;
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** An interval over fewer texts would say nothing. */
const minHeldOutRows = 4;
/** What is written is at least about as many answers, unless these would be very short. */
const numAnswers = 16;
const minAnswerTokens = 32;
/** Apart from the seeds of calibration text. */
const heldOutSeed = 1_000_000;

/** Text of tasks as token ids: what to calibrate with, and what is held out to judge the result. */
export class TaskTexts {
  readonly #store: ArtifactStore;
  readonly #options: TaskTextsOptions;
  readonly #maxSequenceTokens: number;
  readonly #rows = new Map<string, ReturnType<typeof splitCorpus>>();

  constructor(store: ArtifactStore, options: TaskTextsOptions) {
    this.#store = store;
    this.#options = options;
    this.#maxSequenceTokens = options.maxSequenceTokens ?? 512;
  }

  get tasks(): readonly string[] {
    return [...this.#options.corpora.keys()];
  }

  /**
   * `maxTokens` tokens, or fewer where neither the rows nor a writer give more. With a writer every prompt
   * comes with an answer; the fewer the tokens, the shorter the answers, so that several prompts have one.
   * @throws CorpusError
   */
  async calibration(task: string, maxTokens: number): Promise<readonly Uint32Array[]> {
    const { calibration: rows } = this.#split(task);
    const { seed = 1 } = this.#options;
    const { own, written } = await this.#sequences(task, rows, maxTokens, seed);
    return takeTokens([...own, ...written], maxTokens);
  }

  /**
   * Texts that no profile has seen, answers as they are in the rows or else written by the dense model.
   * @param minTokens with the prompts, where there is a writer
   * @throws CorpusError when too few rows are held out.
   */
  async heldOut(task: string, minTokens: number): Promise<readonly ScoredSequence[]> {
    const { heldOut: rows, calibration } = this.#split(task);
    if (rows.length < minHeldOutRows) {
      throw new CorpusError(
        `Task ${task}: ${rows.length} of its ${rows.length + calibration.length} rows are held out ` +
          `to judge the expert, expected at least ${minHeldOutRows}. About 80 rows are enough.`,
      );
    }
    const { encoder, eosTokenIds, seed = 1 } = this.#options;
    const limits = { maxSequenceTokens: this.#maxSequenceTokens, eosTokenIds, maxRows: Infinity };
    const own = encodeTexts(rows, encoder, limits);
    const numOwn = own.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    if (numOwn >= minTokens || this.#options.writer === null) return own;
    const { written } = await this.#sequences(task, rows, minTokens, seed + heldOutSeed);
    return [
      ...own,
      ...written.map(({ tokenIds, numPromptTokens }) => ({
        tokenIds,
        firstScored: Math.max(1, numPromptTokens),
      })),
    ];
  }

  /** Of the rows, with a writer only those with answers, and what it had to write to have enough. */
  async #sequences(
    task: string,
    rows: readonly CorpusRow[],
    minTokens: number,
    seed: number,
  ): Promise<{ own: readonly TokenSequence[]; written: readonly TokenSequence[] }> {
    const { encoder, writer, model, concurrency = 16, onProgress, log, signal } = this.#options;
    const maxSequenceTokens = this.#maxSequenceTokens;
    const sequences = encoder.encode(rows, { maxSequenceTokens });
    if (writer === null) return { own: sequences, written: [] };
    const own = sequences.filter(hasAnswer);
    const missing = minTokens - countTokens(own);
    if (missing <= 0) return { own, written: [] };
    if (sequences.every(({ numPromptTokens }) => numPromptTokens === 0)) {
      log?.(`Task ${task} has ${countTokens(own)} tokens of text, fewer than ${minTokens}.`);
      return { own, written: [] };
    }
    const kept = new KeptAnswers(writer, this.#store, hashOf(sequences, { model, seed }));
    let written = 0;
    const counting: Writer = {
      async write(promptIds, maxTokens, answerSeed) {
        const answer = await kept.write(promptIds, maxTokens, answerSeed);
        if (answer.length > 0) written += promptIds.length + answer.length;
        // Those that were asked for first are still missing when others are enough.
        onProgress?.(task, Math.min(written, 0.99 * missing), missing);
        return answer;
      },
    };
    try {
      const extended = await extendWithAnswers(sequences, counting, this.#store, {
        // Prompts without an answer do not count.
        minTokens: countTokens(sequences) + missing,
        maxSequenceTokens,
        maxAnswerTokens: Math.max(minAnswerTokens, Math.ceil(missing / numAnswers)),
        seed,
        concurrency,
        model,
        ...(log && { log }),
        ...(signal && { signal }),
      });
      return { own, written: extended.slice(sequences.length) };
    } finally {
      await kept.save();
    }
  }

  #split(task: string): ReturnType<typeof splitCorpus> {
    const { corpora, heldOutShare } = this.#options;
    let split = this.#rows.get(task);
    if (split === undefined) {
      const read = corpora.get(task);
      if (read === undefined) {
        const known = [...corpora.keys()].join(", ");
        throw new CorpusError(`There is no corpus of task ${task}, expected one of ${known}.`);
      }
      split = splitCorpus(read(), heldOutShare);
      this.#rows.set(task, split);
    }
    return split;
  }
}

function hasAnswer({ tokenIds, numPromptTokens }: TokenSequence): boolean {
  return numPromptTokens < tokenIds.length;
}

function countTokens(sequences: readonly TokenSequence[]): number {
  return sequences.reduce((total, { tokenIds }) => total + tokenIds.length, 0);
}

/** The first `maxTokens` tokens; the last sequence is cut to fit. */
function takeTokens(sequences: readonly TokenSequence[], maxTokens: number): Uint32Array[] {
  const taken: Uint32Array[] = [];
  let left = maxTokens;
  for (const { tokenIds } of sequences) {
    if (left <= 0) break;
    taken.push(tokenIds.subarray(0, left));
    left -= tokenIds.length;
  }
  return taken;
}

function hashOf(
  sequences: readonly TokenSequence[],
  recipe: { readonly model: string; readonly seed: number },
): string {
  const hash = createHash("sha256").update(JSON.stringify(recipe));
  for (const { tokenIds, numPromptTokens } of sequences) {
    hash.update(`\n${tokenIds.length} ${numPromptTokens}\n`).update(tokenIds);
  }
  return hash.digest("hex").slice(0, 32);
}
