import { addLogits } from "./compare-logits.ts";
import { messageOf } from "../contract/request-failure.ts";
import type { ShadowRecord } from "./shadow-tally.ts";
import type { ExpertLease } from "../contract/expert-choice.ts";
import type { GenerateRequest } from "../contract/request.ts";
import { denseExpert } from "../contract/experts.ts";
import type { KvBorrower } from "../contract/kv-borrower.ts";
import type { ScoreOptions, ScoreStep } from "../contract/score-step.ts";
import type { Tokens } from "../contract/tokens.ts";

/** What tells a middle's opinion of a text. */
export interface TextScorer {
  /** One step over a text. @throws InferenceError */
  score(text: Tokens, options: ScoreOptions): Promise<ScoreStep>;
  /** Frees what the text takes. May be called twice. */
  release(text: Tokens): void;
  /** KV bytes that a text of some length takes. */
  kvBytesFor(numTokens: number): number;
}

/** A sequence that has come to its end. */
export interface FinishedSequence extends Pick<Tokens, "numTokens" | "tokenIds"> {
  readonly request: Pick<GenerateRequest, "promptTokenIds">;
  readonly lease: Pick<ExpertLease, "expert"> | null;
}

export interface ShadowCheckOptions {
  readonly runner: TextScorer;
  /** KV memory that nobody needs now. */
  readonly freeKvBytes: () => number;
  /** Share of the finished sequences to compare, 0 to 1. */
  readonly share: number;
  readonly vocabSize: number;
  readonly record: (expert: string, record: ShadowRecord) => void;
  /** One line for a person. */
  readonly log: (line: string) => void;
}

/** Finished sequences that wait to be compared; more are passed over. */
const maxWaiting = 16;
/** Tokens of one turn: who comes meanwhile waits for no more than that. */
const chunk = 16;
/** Tokens of a text that are compared, where there is room for them in the memory that is free when it begins. */
const maxTokens = 1024;

interface Finished {
  readonly expert: string;
  readonly tokenIds: Uint32Array;
  readonly numPromptTokens: number;
}

interface Comparison {
  readonly finished: Finished;
  /** What both runs take together. */
  readonly kvBytes: number;
  readonly dense: Tokens;
  readonly own: Tokens;
  /** What dense says of the chunk that the expert is to see next. */
  denseLogits: Float32Array | null;
  tokens: number;
  kl: number;
  agreeing: number;
}

/**
 * Compares answers of experts with what dense thinks of them, when there is nothing else to do: some tokens a turn.
 * A comparison that is interrupted goes on later.
 */
export class ShadowCheck implements KvBorrower {
  readonly #options: ShadowCheckOptions;
  readonly #waiting: Finished[] = [];
  #current: Comparison | null = null;
  #numFinished = 0;

  constructor(options: ShadowCheckOptions) {
    this.#options = options;
  }

  get hasWork(): boolean {
    return this.#current !== null || this.#waiting.length > 0;
  }

  get kvBytes(): number {
    return this.#current?.kvBytes ?? 0;
  }

  /** The comparison at hand begins anew later. */
  giveBack(): void {
    if (this.#current === null) return;
    this.#waiting.unshift(this.#current.finished);
    this.#end();
  }

  /** A sequence that has come to its end: every so many of those on experts are kept. */
  offer(sequence: FinishedSequence): void {
    const { share } = this.#options;
    const numPromptTokens = sequence.request.promptTokenIds.length;
    const expert = sequence.lease?.expert ?? denseExpert;
    if (expert === denseExpert || numPromptTokens >= maxTokens) return;
    const before = Math.floor(this.#numFinished++ * share);
    if (Math.floor(this.#numFinished * share) === before) return;
    if (this.#waiting.length === maxWaiting) return;
    const tokenIds = sequence.tokenIds(0, Math.min(sequence.numTokens, maxTokens)).slice();
    this.#waiting.push({ expert, tokenIds, numPromptTokens });
  }

  /** A turn: some tokens of one comparison, on one of the two middles. Never rejects. */
  async step(): Promise<void> {
    const next = this.#current ?? this.#begin();
    if (next === null) return;
    try {
      if (await this.#advance(next)) return;
    } catch (error) {
      const { expert } = next.finished;
      this.#options.log(`Expert ${expert} was not compared with dense: ${messageOf(error)}`);
      return this.#end();
    }
    const { finished, tokens, kl, agreeing } = next;
    this.#end();
    if (tokens > 0) this.#options.record(finished.expert, { tokens, kl, agreeing });
  }

  /** Nothing runs on an expert any more when this returns. */
  forget(expert: string): void {
    const kept = this.#waiting.filter((finished) => finished.expert !== expert);
    this.#waiting.splice(0, Infinity, ...kept);
    if (this.#current?.finished.expert === expert) this.#end();
  }

  /** @returns false when the text is through */
  async #advance(current: Comparison): Promise<boolean> {
    const { runner, vocabSize } = this.#options;
    const { dense, own, denseLogits } = current;
    const { expert, numPromptTokens } = current.finished;
    const options = { chunk, from: numPromptTokens - 1 };
    if (denseLogits === null) {
      const step = await runner.score(dense, { ...options, middle: denseExpert });
      if (step.kind === "logits") current.denseLogits = step.logits;
      return step.kind !== "end";
    }
    const step = await runner.score(own, { ...options, middle: expert });
    if (step.kind !== "logits") return step.kind !== "end";
    current.denseLogits = null;
    addLogits(current, denseLogits, step.logits, vocabSize);
    return true;
  }

  /** Null where nothing waits that there is room for. */
  #begin(): Comparison | null {
    const finished = this.#waiting.shift();
    if (finished === undefined) return null;
    const numTokens = this.#roomFor(finished);
    if (numTokens <= finished.numPromptTokens) return null;
    const tokenIds = finished.tokenIds.subarray(0, numTokens);
    const [dense, own] = [new GivenTokens(tokenIds), new GivenTokens(tokenIds)];
    const sums = { tokens: 0, kl: 0, agreeing: 0 };
    const kvBytes = 2 * this.#options.runner.kvBytesFor(numTokens);
    this.#current = { finished, kvBytes, ...sums, dense, own, denseLogits: null };
    return this.#current;
  }

  /** Tokens of a text that both runs have room for. */
  #roomFor({ tokenIds: { length } }: Finished): number {
    const { runner, freeKvBytes } = this.#options;
    const free = freeKvBytes();
    let numTokens = length;
    while (numTokens > 0 && 2 * runner.kvBytesFor(numTokens) > free) numTokens -= chunk;
    return numTokens;
  }

  #end(): void {
    if (this.#current === null) return;
    this.#options.runner.release(this.#current.dense);
    this.#options.runner.release(this.#current.own);
    this.#current = null;
  }
}

/** All tokens but the last, which was drawn and never seen. */
class GivenTokens implements Tokens {
  readonly numTokens: number;
  readonly #tokenIds: Uint32Array;

  constructor(tokenIds: Uint32Array) {
    this.#tokenIds = tokenIds;
    this.numTokens = tokenIds.length - 1;
  }

  get lastTokenId(): number {
    return this.#tokenIds[this.numTokens - 1]!;
  }

  tokenIds(start: number, end: number): Uint32Array {
    return this.#tokenIds.subarray(start, Math.min(end, this.numTokens));
  }
}
