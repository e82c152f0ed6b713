import type { TokenTable } from "../../model/text/token-table.ts";
import { Detokenizer } from "./detokenizer.ts";
import type { ExpertLease } from "../contract/expert-choice.ts";
import type { Grammars } from "../grammar/grammars.ts";
import type { Matcher } from "../grammar/matcher.ts";
import { PromptLogprobs, tokenLogprobs } from "../contract/logprobs.ts";
import type { Tokens } from "../contract/tokens.ts";
import { PromptPool } from "./prompt-pool.ts";
import { PromptReading } from "./prompt-reading.ts";
import type { PromptRouter } from "../../router/prompt-router.ts";
import type {
  FinishEvent,
  FinishReason,
  GenerateEvent,
  GenerateRequest,
  Reading,
  TextEvent,
} from "../contract/request.ts";
import { SequenceRouting } from "./routing.ts";
import { Sampler } from "./sampler.ts";
import { StopStrings } from "./stop-strings.ts";
import { TokenRules } from "./token-rules.ts";

/** What a sequence needs to know of the model. */
export interface Vocabulary {
  readonly table: TokenTable;
  readonly size: number;
  /** Absent where no request has a grammar. */
  readonly grammars?: Grammars;
}

/** One answer in the making: owns its tokens, its sampler and the text that is not yet final. */
export class Sequence implements Tokens {
  readonly request: GenerateRequest;
  readonly reader: PromptReading;
  /** Prompt and generated tokens; the last one is not yet in the KV cache while decoding. */
  readonly #tokenIds: Uint32Array;
  readonly #sampler: Sampler;
  readonly #detokenizer: Detokenizer;
  readonly #stopStrings: StopStrings;
  /** Tokens that end the answer. */
  readonly #endTokenIds: ReadonlySet<number>;
  readonly #rules: TokenRules | null;
  readonly #now: () => number;
  readonly #arrivedAt: number;
  #startedAt = 0;
  #firstTokenAt = 0;
  #logitsAt = 0;
  #headSeconds = 0;
  #lastHeadSeconds = 0;
  #numTokens: number;
  #isRouteTold = false;
  finished = false;
  readonly #matcher: Matcher | null;
  #mask: Int32Array | null = null;
  /** It does not wait: neither in the queue nor, in the middle of its prefill, for its expert. */
  isStarted = false;
  /** It has had to wait for its expert. */
  wasParked = false;
  /** Prompt tokens that were not computed, as they were when the first token came. */
  numCachedTokens = 0;
  /** The middle that the sequence runs on, from when its prompt has passed the trunk until its end. */
  lease: ExpertLease | null = null;

  /**
   * @param now milliseconds on a steady clock
   * @param router null where there is none yet
   */
  constructor(
    request: GenerateRequest,
    vocabulary: Vocabulary,
    now: () => number,
    router: PromptRouter | null = null,
  ) {
    this.request = request;
    const { promptTokenIds, promptLogprobs } = request;
    this.reader = new PromptReading({
      routing: request.routing && new SequenceRouting(request.routing, router, now),
      logprobs: promptLogprobs && new PromptLogprobs(promptTokenIds, promptLogprobs),
      pool: request.reading === "embedding" ? new PromptPool() : undefined,
    });
    this.#numTokens = request.promptTokenIds.length;
    this.#tokenIds = new Uint32Array(this.#numTokens + request.maxTokens);
    this.#tokenIds.set(request.promptTokenIds);
    this.#sampler = new Sampler(request.sampling, vocabulary.size, request.promptTokenIds);
    this.#detokenizer = new Detokenizer(vocabulary.table, request.keepControl);
    this.#stopStrings = new StopStrings(request.stop, request.includeStop);
    const { grammars } = vocabulary;
    this.#matcher = request.grammar && grammars ? grammars.open(request.grammar) : null;
    // Nothing can follow the end of a grammar's text.
    const endsByItself = this.#matcher !== null || !request.ignoreEos;
    const { eosTokenIds } = vocabulary.table;
    const { stopTokenIds = [] } = request;
    this.#endTokenIds = new Set([...(endsByItself ? eosTokenIds : []), ...stopTokenIds]);
    this.#rules = TokenRules.areIn(request)
      ? new TokenRules(request, this.#endTokenIds, vocabulary.size)
      : null;
    this.#now = now;
    this.#arrivedAt = now();
  }

  get id(): string {
    return this.request.id;
  }

  get routing(): SequenceRouting | undefined {
    return this.reader.routing;
  }

  get cacheSalt(): string | undefined {
    return this.request.cacheSalt;
  }

  get numTokens(): number {
    return this.#numTokens;
  }

  /** Tokens that prompt and answer may come to. */
  get maxTokens(): number {
    return this.#tokenIds.length;
  }

  get lastTokenId(): number {
    return this.#tokenIds[this.#numTokens - 1]!;
  }

  /** Tokens `[start, end)` of prompt and output. */
  tokenIds(start: number, end: number): Uint32Array {
    return this.#tokenIds.subarray(start, Math.min(end, this.#numTokens));
  }

  /** The prefill begins, or goes on. The time of the first time counts. */
  start(): void {
    this.isStarted = true;
    if (this.#startedAt === 0) this.#startedAt = this.#now();
  }

  /** The prompt was through once: a prefill after that does over what was done. */
  get hasBegun(): boolean {
    return this.#firstTokenAt > 0;
  }

  /** A pass of the prefill is through, of which so much was the head. What comes after a preemption does not count. */
  countPass(headSeconds: number): void {
    if (this.hasBegun) return;
    this.#logitsAt = this.#now();
    this.#headSeconds += headSeconds;
    this.#lastHeadSeconds = headSeconds;
  }

  /** The answer has a grammar: `prepare` before `advance`. */
  get hasGrammar(): boolean {
    return this.#matcher !== null;
  }

  /**
   * Finds the tokens that the grammar allows next.
   * @throws GrammarError when that takes too long
   */
  prepare(): void {
    this.#mask = this.#matcher?.mask() ?? null;
  }

  /** What was decided on the prompt, the first time that it is asked for; null before and after. */
  takeRoute({ expert, reason }: ExpertLease): GenerateEvent | null {
    const { routing } = this;
    if (!routing?.route || this.#isRouteTold || this.request.reading) return null;
    this.#isRouteTold = true;
    const { route, seconds } = routing;
    return { type: "routed", ...route, expert, serveReason: reason, seconds };
  }

  /** The last event of a request that asks for nothing but its route, once that is decided. */
  finishRouting(): GenerateEvent {
    const { route, decision, seconds } = this.routing!;
    this.#begin();
    const reading: Reading = { kind: "route", route: route!, decision, seconds };
    return { ...this.#finish("length", ""), numTokens: 0, reading };
  }

  /** The last event of a request that asks for nothing but what was read of its prompt. */
  finishReading(): GenerateEvent {
    const ofPrompt = this.#promptLogprobs;
    this.#begin();
    const { pool } = this.reader;
    const reading: Reading | undefined = pool && { kind: "embedding", embedding: pool.embedding };
    const end = { ...this.#finish("length", ""), numTokens: 0 };
    return { ...end, ...ofPrompt, ...(reading && { reading }) };
  }

  /**
   * Draws the next token, where one may follow, and tells what it adds to the answer.
   * @param logits shape `[vocabSize]`, left as they are
   * @throws InferenceError when no logit is a number
   */
  advance(logits: Float32Array): GenerateEvent {
    if (this.#numTokens === this.#tokenIds.length) return this.finishReading();
    const ofPrompt = this.#promptLogprobs;
    const mask = this.#rules?.mask(this.#output, this.#mask) ?? this.#mask;
    const tokenId = this.#sampler.next(logits, mask);
    this.#begin();
    const { logprobs: params } = this.request;
    const logprobs = params && [tokenLogprobs(logits, tokenId, params)];
    return { ...this.#add(tokenId), ...(logprobs && { logprobs }), ...ofPrompt };
  }

  get #promptLogprobs() {
    const promptLogprobs = !this.hasBegun && this.reader.logprobs?.tokens;
    return promptLogprobs ? { promptLogprobs } : {};
  }

  #begin(): void {
    if (!this.hasBegun) this.#firstTokenAt = this.#now();
  }

  #add(tokenId: number): TextEvent {
    this.#tokenIds[this.#numTokens++] = tokenId;
    this.#matcher?.accept(tokenId);
    const { minTokens = 0, includeStop = false } = this.request;
    const isEnd = this.#endTokenIds.has(tokenId);
    if (isEnd && !includeStop) return this.#finish("stop", this.#flush(""));
    const added = this.#detokenizer.push(tokenId);
    if (isEnd) return this.#finish("stop", this.#flush(this.#stopStrings.push(added).text));
    const { text, stopped } =
      this.#numTokens - this.request.promptTokenIds.length > minTokens
        ? this.#stopStrings.push(added)
        : { text: added, stopped: false };
    if (stopped) return this.#finish("stop", text);
    if (this.#numTokens === this.#tokenIds.length) return this.#finish("length", this.#flush(text));
    return { type: "delta", text, numTokens: 1 };
  }

  get #output(): Uint32Array {
    return this.tokenIds(this.request.promptTokenIds.length, this.#numTokens);
  }

  #flush(text: string): string {
    const tail = this.#stopStrings.push(this.#detokenizer.flush());
    return text + tail.text + (tail.stopped ? "" : this.#stopStrings.flush());
  }

  #finish(reason: FinishReason, text: string): FinishEvent {
    this.finished = true;
    const promptTokens = this.request.promptTokenIds.length;
    const seconds = (from: number, to: number) => (to - from) / 1000;
    return {
      type: "finish",
      reason,
      text,
      numTokens: 1,
      promptTokens,
      cachedTokens: this.numCachedTokens,
      completionTokens: this.#numTokens - promptTokens,
      timings: {
        queueSeconds: seconds(this.#arrivedAt, this.#startedAt),
        prefillSeconds: seconds(this.#startedAt, this.#firstTokenAt),
        decodeSeconds: seconds(this.#firstTokenAt, this.#now()),
        headSeconds: this.#headSeconds,
        lastHeadSeconds: this.#lastHeadSeconds,
        sampleSeconds: this.#logitsAt === 0 ? 0 : seconds(this.#logitsAt, this.#firstTokenAt),
      },
    };
  }
}
