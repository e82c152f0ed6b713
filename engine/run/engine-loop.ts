import type { PromptRouter } from "../../router/prompt-router.ts";
import type { SeapError } from "../../model/errors.ts";
import {
  CancelledError,
  GrammarError,
  InferenceError,
  TooManyParkedError,
} from "../contract/errors.ts";
import type { ExpertChooser, ExpertLease } from "../contract/expert-choice.ts";
import { denseExpert } from "../contract/experts.ts";
import type { Tokens } from "../contract/tokens.ts";
import type { ModelRunner } from "./model-runner.ts";
import { defaultMaxGapMs, PrefillPace } from "./prefill-pace.ts";
import type { KvBorrower } from "../contract/kv-borrower.ts";
import type { ProgressEvent } from "../contract/progress-event.ts";
import type { GenerateEvent, GenerateRequest } from "../contract/request.ts";
import { Scheduler } from "./scheduler.ts";
import type { Drafts, Speculation } from "../speculation/speculation.ts";
import { Sequence } from "../sequence/sequence.ts";
import type { Vocabulary } from "../sequence/sequence.ts";
import type { StepMeter } from "../contract/step-meter.ts";

/** What the loop tells of a request. After `finish` or an error nothing more comes. */
export type EngineOutput =
  | { readonly id: string; readonly event: GenerateEvent | ProgressEvent }
  | { readonly id: string; readonly error: SeapError };

export interface EngineLoopOptions {
  readonly runner: ModelRunner;
  readonly vocabulary: Vocabulary;
  readonly maxBatch: number;
  /** KV memory of all sequences; enough for one of the largest length. */
  readonly kvBudgetBytes: number;
  readonly kvBorrower?: KvBorrower;
  /** Milliseconds between two tokens of a running sequence that prefill may fill. @default 100 */
  readonly maxGapMs?: number | undefined;
  /** Milliseconds on a steady clock. */
  readonly now: () => number;
  /** Called once or twice a step with everything that is new. */
  readonly emit: (outputs: readonly EngineOutput[]) => void;
  /** Chooses what a sequence runs on. @default dense for all */
  readonly experts?: ExpertChooser;
  /** Sequences that may wait for their expert. @default no limit */
  readonly maxParked?: number;
  /** Called when a step has something to do again that had to wait for an expert. */
  readonly onWork?: () => void;
  /** Told of each pass and its parts; the runner's too. */
  readonly meter?: StepMeter;
  /** Guesses tokens that are computed with the one that is due. @default none are */
  readonly speculation?: Pick<Speculation, "plan" | "learn" | "measured"> | null;
  /** Called with each sequence that has come to its end, before it leaves its middle. What it throws is a problem. */
  readonly onFinish?: (sequence: Sequence) => void;
  /** Told of errors that cost no answer. @default nobody is */
  readonly onProblem?: (error: unknown) => void;
}

/**
 * Continuous batching: every step is some parts of prefill, then one token for each running sequence, whatever its
 * expert. Cancellations take effect between two of them, never during a forward pass.
 *
 * Answers do not depend on the neighbours, nor on what was guessed of them: with q8 and f32 weights a sequence's logits are the
 * same bits at any batch size and in any capacity class, and for tokens that are computed together. Two cases differ by rounding between one row and
 * several, which 8-bit activations then enlarge, so that a choice between nearly equal tokens may turn
 * out otherwise: q4 weights, and layers with a single KV head. The same holds for a preempted sequence,
 * whose tokens are prefilled anew. Measured with ONNX Runtime's AVX2 kernels.
 */
export class EngineLoop {
  readonly #options: EngineLoopOptions;
  readonly #scheduler: Scheduler;
  readonly #pace: PrefillPace;
  readonly #sequences = new Map<string, Sequence>();
  readonly #cancelled = new Set<string>();
  #outputs: EngineOutput[] = [];
  #router: PromptRouter | null = null;

  constructor(options: EngineLoopOptions) {
    this.#options = options;
    const { runner, maxBatch, kvBudgetBytes, maxGapMs = defaultMaxGapMs, now } = options;
    this.#pace = new PrefillPace(maxGapMs, now);
    this.#scheduler = new Scheduler({
      ...{ maxBatch, kvBudgetBytes },
      kvBytesOf: (sequence) =>
        runner.kvBytesOf(sequence, Math.min(sequence.numTokens + 1, sequence.maxTokens)),
      numLeftOf: (sequence) => runner.numLeftOf(sequence),
    });
  }

  /** No request is left. */
  get isIdle(): boolean {
    return this.#scheduler.isIdle;
  }

  /** A step has something to do: there are requests besides those that wait for their expert. */
  get hasWork(): boolean {
    return this.#scheduler.hasWork || this.#cancelled.size > 0;
  }

  /** Used share of the KV memory budget, 0 to 1. */
  get kvCacheUsage(): number {
    // The next token may need more than there is, until the next step preempts.
    return Math.min(1, this.#scheduler.kvBytes / this.#options.kvBudgetBytes);
  }

  /** KV bytes that no sequence needs now. */
  get freeKvBytes(): number {
    return Math.max(0, this.#options.kvBudgetBytes - this.#scheduler.kvBytes);
  }

  /** Routes the requests that are added from now on. */
  useRouter(router: PromptRouter): void {
    this.#router = router;
  }

  /** Never throws: a request that nothing can be made of ends with an error at once. */
  add(request: GenerateRequest): void {
    const { vocabulary, now, emit } = this.#options;
    try {
      const sequence = new Sequence(request, vocabulary, now, this.#router);
      this.#sequences.set(request.id, sequence);
      this.#scheduler.add(sequence);
    } catch (error) {
      emit([{ id: request.id, error: asRequestError(error) }]);
    }
  }

  /** Takes effect at the next safe point; unknown and finished ids are ignored. */
  cancel(id: string): void {
    if (this.#sequences.has(id)) this.#cancelled.add(id);
  }

  /** Lets go of all requests without a word. */
  abandon(): void {
    for (const sequence of this.#sequences.values()) this.#forget(sequence);
    this.#outputs = [];
  }

  async step(): Promise<void> {
    this.#applyCancellations();
    this.#admit();
    await this.#prefill();
    this.#flush();
    if (this.#scheduler.running.length > 0) {
      await this.#pace.measureDecode(() => this.#decode());
    }
    this.#flush();
  }

  /** Lets in whom there is room for. */
  #admit(): void {
    for (;;) {
      for (const parked of this.#scheduler.makeRoom()) this.#options.runner.release(parked);
      const sequence = this.#scheduler.admit();
      if (!sequence) return;
      if (sequence.isStarted) continue;
      sequence.start();
      this.#outputs.push({ id: sequence.id, event: { type: "started" } });
    }
  }

  /** One part, so that all goes on, and more as long as those who decode get their tokens in time. */
  async #prefill(): Promise<void> {
    const { runner, meter } = this.#options;
    let sequence = this.#scheduler.nextPrefill();
    if (!sequence) return;
    meter?.begin("prefill");
    do {
      await this.#prefillPart(sequence);
      this.#applyCancellations();
      sequence = this.#scheduler.nextPrefill();
    } while (
      sequence &&
      this.#scheduler.running.length > 0 &&
      this.#pace.hasRoomFor(runner.partOf(sequence))
    );
    meter?.end();
  }

  /** Takes back what the others hold beyond their need, for a sequence whose prefill begins. */
  async #clear({ numTokens }: Sequence): Promise<void> {
    const { runner, kvBudgetBytes } = this.#options;
    this.#reclaim();
    await this.#attempt([...this.#scheduler.running], () =>
      runner.arrange(kvBudgetBytes - runner.kvBytesFor(numTokens)),
    );
  }

  #reclaim(): void {
    const { kvBorrower } = this.#options;
    if (kvBorrower && kvBorrower.kvBytes > this.freeKvBytes) kvBorrower.giveBack();
  }

  async #prefillPart(sequence: Sequence): Promise<void> {
    const { runner, meter } = this.#options;
    if (!runner.holds(sequence)) await this.#clear(sequence);
    const part = await this.#attempt([sequence], async () => {
      if (!(await this.#chooseMiddle(sequence))) return null;
      const headSeconds = meter?.secondsOf("head") ?? 0;
      const result = await this.#pace.measure(runner.partOf(sequence), () =>
        runner.prefill(sequence),
      );
      this.#scheduler.countPart();
      sequence.countPass((meter?.secondsOf("head") ?? 0) - headSeconds);
      if (result.kind === "trunk-through") await this.#chooseMiddle(sequence);
      return result;
    });
    if (part?.kind !== "logits" && part?.kind !== "read") return;
    this.#scheduler.prefilled(sequence);
    if (!sequence.hasBegun) sequence.numCachedTokens = runner.numCachedOf(sequence);
    this.#advance(sequence, part.kind === "logits" ? part.logits : null);
    meter?.lap("sample");
  }

  /** Where the sequence needs a middle: it gets one, or is parked. @returns whether it can go on */
  async #chooseMiddle(sequence: Sequence): Promise<boolean> {
    const { runner } = this.#options;
    if (!runner.needsMiddle(sequence)) return true;
    if (sequence.request.reading === "route") {
      this.#outputs.push({ id: sequence.id, event: sequence.finishRouting() });
      this.#forget(sequence);
      return false;
    }
    sequence.lease ??= this.#lease(sequence);
    const { id, lease } = sequence;
    if (!lease) return false;
    await runner.setMiddle(sequence, lease.expert);
    const event = sequence.takeRoute(lease);
    if (event) this.#outputs.push({ id, event });
    return true;
  }

  /**
   * Parks the sequence where there is nothing yet for it to run on.
   * @throws TooManyParkedError; one that was parked before may be again
   */
  #lease(sequence: Sequence): ExpertLease | null {
    const { experts, onWork, maxParked = Infinity } = this.#options;
    const { id, routing } = sequence;
    const task = routing?.route?.task ?? null;
    if (!experts || sequence.request.reading === "embedding") return denseLease(task);
    const choice = experts.choose(task, routing?.choice);
    if (choice.kind === "run") return choice.lease;
    if (!sequence.wasParked && this.#scheduler.numParked >= maxParked) {
      throw new TooManyParkedError(
        `${maxParked} requests wait for their experts already, which is the limit. Retry later, or without waiting.`,
      );
    }
    this.#scheduler.park(sequence);
    sequence.isStarted = false;
    sequence.wasParked = true;
    this.#outputs.push({ id, event: { type: "parked" } });
    // By its id: one that has left meanwhile is not to be kept until the expert is there.
    void choice.ready.then(() => {
      const parked = this.#sequences.get(id);
      if (parked) this.#scheduler.unpark(parked);
      onWork?.();
    });
    return null;
  }

  async #decode(): Promise<void> {
    const { runner, kvBudgetBytes, meter, now, speculation } = this.#options;
    for (const sequence of this.#scheduler.preempt()) {
      runner.release(sequence);
      meter?.countPreemption();
    }
    this.#reclaim();
    const running = [...this.#scheduler.running];
    if (running.length === 0) return;
    meter?.begin("decode");
    let drafts: Drafts = new Map();
    const rows = await this.#attempt(running, async () => {
      await runner.arrange(kvBudgetBytes);
      meter?.lap("kv");
      drafts = this.#plan(running);
      const startedAt = now();
      const logits = await runner.decode(drafts, (failed, error) => this.#failAll(failed, error));
      const numRows = logits.size * (1 + draftLengthOf(drafts));
      speculation?.measured(numRows, now() - startedAt);
      return logits;
    });
    for (const sequence of running) {
      const logits = rows?.get(sequence);
      if (logits) await this.#advanceAll(sequence, logits, drafts.get(sequence));
    }
    if (rows) meter?.lap("sample");
    meter?.end();
  }

  #plan(running: readonly Sequence[]): Drafts {
    const { runner, speculation } = this.#options;
    if (!speculation) return new Map();
    return speculation.plan(
      running.map((sequence) => {
        // The last token of an answer is not computed.
        const left = sequence.maxTokens - sequence.numTokens - 1;
        return { tokens: sequence, mostTokens: Math.min(left, runner.draftRoomOf(sequence)) };
      }),
    );
  }

  /** Draws tokens as long as they are those that were guessed. @param logits `[1 + guessed tokens, vocabSize]` */
  async #advanceAll(
    sequence: Sequence,
    logits: Float32Array,
    draft: Uint32Array = new Uint32Array(0),
  ): Promise<void> {
    const { runner, meter, speculation } = this.#options;
    const width = logits.length / (1 + draft.length);
    let numDrawn = 0;
    for (let isRight = true; isRight && this.#isRunning(sequence); numDrawn++) {
      this.#advance(sequence, logits.subarray(numDrawn * width, (numDrawn + 1) * width));
      isRight = sequence.lastTokenId === draft[numDrawn];
    }
    meter?.countTokens(numDrawn);
    if (draft.length === 0) return;
    const numRight = numDrawn - 1;
    speculation?.learn(sequence, numRight, draft.length);
    meter?.countDraft({ guessed: draft.length, accepted: numRight });
    if (numRight < draft.length && this.#isRunning(sequence)) await runner.takeBack(sequence);
  }

  #isRunning(sequence: Sequence): boolean {
    return this.#sequences.get(sequence.id) === sequence;
  }

  /** @param logits null of a prompt whose hidden states were read instead */
  #advance(sequence: Sequence, logits: Float32Array | null): void {
    try {
      if (sequence.hasGrammar) this.#prepareGrammar(sequence);
      const event = logits === null ? sequence.finishReading() : sequence.advance(logits);
      this.#outputs.push({ id: sequence.id, event });
    } catch (error) {
      return this.#fail(sequence, asRequestError(error));
    }
    if (!sequence.finished) return;
    this.#tellFinished(sequence);
    this.#forget(sequence);
  }

  #tellFinished(sequence: Sequence): void {
    const { onFinish, onProblem } = this.#options;
    try {
      onFinish?.(sequence);
    } catch (error) {
      onProblem?.(error);
    }
  }

  #prepareGrammar(sequence: Sequence): void {
    const { meter } = this.#options;
    meter?.lap("sample");
    sequence.prepare();
    meter?.lap("grammar");
  }

  /** A failed pass costs the sequences that were part of it, and nobody else. */
  async #attempt<Result>(
    sequences: readonly Sequence[],
    run: () => Promise<Result> | Result,
  ): Promise<Result | null> {
    try {
      return await run();
    } catch (error) {
      this.#failAll(sequences, error);
      return null;
    }
  }

  #failAll(sequences: readonly Tokens[], error: unknown): void {
    for (const sequence of sequences) this.#fail(sequence as Sequence, asRequestError(error));
  }

  #applyCancellations(): void {
    for (const id of this.#cancelled) {
      const sequence = this.#sequences.get(id);
      if (sequence) this.#fail(sequence, new CancelledError(id));
    }
    this.#cancelled.clear();
  }

  /** Nothing where the sequence has come to its end already. */
  #fail(sequence: Sequence, error: SeapError): void {
    if (this.#sequences.get(sequence.id) !== sequence) return;
    this.#outputs.push({ id: sequence.id, error });
    this.#forget(sequence);
  }

  #forget(sequence: Sequence): void {
    this.#scheduler.remove(sequence);
    this.#options.runner.release(sequence);
    sequence.lease?.release();
    sequence.lease = null;
    this.#sequences.delete(sequence.id);
  }

  #flush(): void {
    if (this.#outputs.length === 0) return;
    this.#options.emit(this.#outputs);
    this.#outputs = [];
  }
}

/** For engines without experts. */
function denseLease(task: string | null): ExpertLease {
  const reason = task === null ? "no-task" : "off";
  return { expert: denseExpert, task, reason, release: () => undefined };
}

/** What a request ends with that something was thrown for. */
function asRequestError(error: unknown): SeapError {
  const isOwn = error instanceof InferenceError || error instanceof GrammarError;
  if (isOwn || error instanceof TooManyParkedError) return error;
  return new InferenceError(`The forward pass failed: ${String(error)}`, { cause: error });
}

/** Of each sequence. */
function draftLengthOf(drafts: Drafts): number {
  for (const { length } of drafts.values()) return length;
  return 0;
}
