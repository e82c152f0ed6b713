import { DecodeStep } from "../device/decode-step.ts";
import type {
  Device,
  ForwardBatch,
  HiddenRow,
  HiddenStates,
  Stage,
  StageInput,
} from "../device/device.ts";
import { denseExpert } from "../contract/experts.ts";
import { capacityFor, planCapacities } from "../device/kv-capacity.ts";
import type { KvSlot } from "../device/kv-pool.ts";
import { PrefixCache } from "./prefix-cache.ts";
import type { StageSlot } from "./prefix-cache.ts";
import type { Tokens } from "../sequence/tokens.ts";
import { StageRunner } from "../device/stage-runner.ts";
import type { StepMeter } from "../contract/step-meter.ts";

export interface ModelStages {
  readonly trunk: Stage;
  /** The layers of the unpruned model between trunk and head, in one stage or several. */
  readonly middle: readonly Stage[];
  readonly head: Stage;
}

/**
 * Measured on two cores: larger chunks prefill no faster (the scores of a chunk no longer fit the
 * cache), and every chunk makes the running sequences wait.
 */
export const DEFAULT_PREFILL_CHUNK = 128;

export interface ModelRunnerOptions {
  readonly device: Device;
  readonly stages: ModelStages;
  /** Largest number of prompt tokens in one forward pass. */
  readonly prefillChunk: number;
  /** Memory for the beginnings of prompts that may come again. @default 0: none is kept */
  readonly prefixCacheBytes?: number;
  /** Sequences that decode at once. @default 64 */
  readonly maxBatch?: number;
  /** Told of the parts of each pass. */
  readonly meter?: StepMeter;
}

/** What an expert is: stages one after the other. */
interface Middle {
  readonly name: string;
  readonly runners: readonly StageRunner<Tokens>[];
  /** KV bytes of one position in all stages, trunk and head among them. */
  readonly bytesPerPosition: number;
}

type Slots = readonly KvSlot<Tokens>[];

/** A sequence's KV and how far its prefill is. */
interface SequenceState {
  readonly trunk: KvSlot<Tokens>;
  readonly head: KvSlot<Tokens>;
  /** What the sequence's chunks and tokens pass between the two; null while it is not chosen. */
  middle: { readonly use: Middle; readonly slots: Slots } | null;
  /** Trunk output of the chunks that the middle has not seen. */
  readonly chunks: HiddenStates[];
  /** Names of the prompt's blocks in the prefix cache; none where it is not to be used. */
  readonly chain: readonly string[];
  /** Those of them that need not be computed: the last token must be, for its logits. */
  readonly skippable: readonly string[];
  /** Tokens that neither middle nor head had to compute. */
  numCached: number;
  isDecoding: boolean;
}

/** What computes the blocks that all middles share. A middle's blocks have its name, which no middle can have. */
const trunkPart = "";

/**
 * The trunk takes a whole prompt before its middle starts, since the middle is chosen by the trunk's
 * output. It is a small part of the model, so several of its chunks make one step.
 */
const TRUNK_CHUNKS_PER_STEP = 4;

/**
 * Runs forward passes: owns the stages and all KV memory. Trunk and head are one batch over all sequences; between
 * the two, each middle is a batch of the sequences that run on it.
 */
export class ModelRunner {
  readonly #device: Device;
  readonly #prefillChunk: number;
  readonly #meter: StepMeter | undefined;
  readonly #trunk: StageRunner<Tokens>;
  readonly #head: StageRunner<Tokens>;
  /** By name, dense among them. */
  readonly #middles = new Map<string, Middle>();
  readonly #states = new Map<Tokens, SequenceState>();
  readonly #prefixCache: PrefixCache | null;
  readonly #maxBatch: number;
  /** The unpruned middle: no other one needs more KV memory. */
  readonly #dense: Middle;

  constructor(options: ModelRunnerOptions) {
    const { device, stages, prefillChunk, prefixCacheBytes = 0, maxBatch = 64, meter } = options;
    this.#device = device;
    this.#prefillChunk = prefillChunk;
    this.#meter = meter;
    this.#maxBatch = maxBatch;
    this.#trunk = new StageRunner(device, stages.trunk, maxBatch);
    this.#head = new StageRunner(device, stages.head, maxBatch);
    this.addMiddle(denseExpert, stages.middle);
    this.#dense = this.#middles.get(denseExpert)!;
    const bytesPerHidden = stages.trunk.spec.hiddenSize * Float32Array.BYTES_PER_ELEMENT;
    const blockBytes = prefillChunk * (this.#dense.bytesPerPosition + bytesPerHidden);
    const cacheOptions = { device, blockTokens: prefillChunk, blockBytes };
    this.#prefixCache =
      prefixCacheBytes > 0
        ? new PrefixCache({ ...cacheOptions, maxBytes: prefixCacheBytes })
        : null;
  }

  /** KV bytes that a sequence of some length needs, of all stages, on any middle. */
  kvBytesFor(numTokens: number): number {
    return capacityFor(numTokens) * this.#dense.bytesPerPosition;
  }

  /** The same of a sequence whose middle may be known. */
  kvBytesOf(sequence: Tokens, numTokens: number): number {
    const { bytesPerPosition } = this.#states.get(sequence)?.middle?.use ?? this.#dense;
    return capacityFor(numTokens) * bytesPerPosition;
  }

  /** KV bytes that are held twice while a sequence of some length moves. */
  moveBytesFor(numTokens: number): number {
    const { runners } = this.#dense;
    const bytes = [this.#trunk, ...runners, this.#head].map((runner) => runner.largestKvBytes);
    return capacityFor(numTokens) * Math.max(...bytes);
  }

  /** A sequence has KV memory. */
  holds(sequence: Tokens): boolean {
    return this.#states.has(sequence);
  }

  /** Bytes of the prompt beginnings that are kept. */
  get prefixCacheBytes(): number {
    return this.#prefixCache?.sizeBytes ?? 0;
  }

  /** Tokens of a sequence's prompt whose keys and values were there already, save the trunk's. */
  numCachedOf(sequence: Tokens): number {
    return this.#states.get(sequence)?.numCached ?? 0;
  }

  /**
   * A middle that sequences may run on from now on.
   * @param name that no other has
   * @param stages one after the other; at least one, and disposed with the runner
   */
  addMiddle(name: string, stages: readonly Stage[]): void {
    if (this.#middles.has(name)) throw new Error(`There is a middle ${name} already.`);
    if (stages.length === 0) throw new Error(`Middle ${name} has no stage.`);
    const runners = stages.map(
      (stage) => new StageRunner<Tokens>(this.#device, stage, this.#maxBatch),
    );
    const all = [this.#trunk, ...runners, this.#head];
    const bytesPerPosition = all.reduce((sum, runner) => sum + runner.bytesPerPosition, 0);
    this.#middles.set(name, { name, runners, bytesPerPosition });
  }

  /**
   * Takes out a middle that no sequence is on.
   * @returns its stages, which are the caller's to dispose
   */
  removeMiddle(name: string): readonly Stage[] {
    const middle = this.#middles.get(name);
    if (middle === undefined) throw new Error(`There is no middle ${name}.`);
    for (const state of this.#states.values()) {
      if (state.middle?.use === middle) throw new Error(`Middle ${name} is in use.`);
    }
    this.#middles.delete(name);
    // Another one of this name may differ.
    this.#prefixCache?.forget(name);
    return middle.runners.map(({ stage }) => stage);
  }

  /** The trunk has seen the whole prompt, and nobody has said which middle goes on. */
  needsMiddle(sequence: Tokens): boolean {
    const state = this.#states.get(sequence);
    return state?.middle === null && state.trunk.length === sequence.numTokens;
  }

  /** Says what a sequence that needs a middle runs on. */
  setMiddle(sequence: Tokens, name: string): void {
    const use = this.#middles.get(name);
    if (use === undefined) throw new Error(`There is no middle ${name}.`);
    const state = this.#states.get(sequence)!;
    const capacity = capacityFor(state.chunks[0]!.numRows);
    const slots = use.runners.map(({ pool }) => pool.open(sequence, capacity));
    state.middle = { use, slots };
    const cached =
      this.#prefixCache?.restore(name, state.skippable, [...this.#restOf(state)]) ?? [];
    for (const input of state.chunks.splice(0, cached.length)) input.dispose();
    state.numCached = cached.length * this.#prefillChunk;
  }

  /**
   * One step of the prefill: some chunks of the trunk, or one chunk of the middle and head. Chunk
   * borders depend on nothing but the prompt. After the last chunk of the trunk the sequence's routing has
   * decided and it needs a middle; it gets the unpruned one where none is set before the next step.
   * @returns the last token's logits, `[vocabSize]`, when the prompt is through, else null; none where its hidden
   *   states are wanted
   * @throws InferenceError
   */
  async prefill(sequence: Tokens): Promise<Float32Array | null> {
    const chunk = this.#prefillChunk;
    const state = this.#states.get(sequence) ?? (await this.#begin(sequence));
    const { numTokens: length, routing, promptLogprobs, pool } = sequence;
    if (state.trunk.length < length) {
      for (let i = 0; i < TRUNK_CHUNKS_PER_STEP && state.trunk.length < length; i++) {
        const hidden = await this.#trunkChunk(sequence, state, chunk);
        this.#keepBlock(trunkPart, state, state.trunk.length, [this.#trunkOf(state)], hidden);
        if (routing?.isReading) routing.add(await this.#device.readRows(hidden));
      }
      if (state.trunk.length === length) routing?.decide();
      this.#meter?.lap("trunk");
      return null;
    }
    if (state.middle === null) this.setMiddle(sequence, denseExpert);
    const numRows = state.chunks[0]!.numRows;
    const start = state.head.length;
    const isLast = start + numRows === length;
    if (pool) {
      pool.add(start, await this.#restChunk(state, null), numRows);
      return isLast ? new Float32Array(0) : null;
    }
    const isRead = promptLogprobs?.isReading ?? false;
    const rows = Array.from({ length: numRows }, (_, row) => row);
    const logits = await this.#restChunk(state, isRead ? rows : isLast ? [numRows - 1] : []);
    const { vocabSize } = this.#head.stage.spec;
    if (isRead) promptLogprobs?.add(start, logits, vocabSize);
    if (!isLast) return null;
    state.isDecoding = true;
    return logits.subarray(logits.length - vocabSize);
  }

  /**
   * One step over a text that is there already, to see what the model thinks of it: a chunk of the trunk, or one of
   * middle and head.
   * @param options.chunk tokens of one step, the same in all steps of a sequence
   * @param options.from first token whose logits count
   * @returns logits `[tokens of the chunk from `from` on, vocabSize]`, where the chunk has such; null when the
   *   text is through
   * @throws InferenceError
   */
  async score(
    sequence: Tokens,
    options: { readonly middle: string; readonly chunk: number; readonly from: number },
  ): Promise<Float32Array | null> {
    const { middle, chunk, from } = options;
    const state = this.#states.get(sequence) ?? this.#open(sequence, chunk);
    if (state.trunk.length < sequence.numTokens) {
      await this.#trunkChunk(sequence, state, chunk);
      return new Float32Array(0);
    }
    if (state.head.length === sequence.numTokens) return null;
    if (state.middle === null) this.setMiddle(sequence, middle);
    const start = state.head.length;
    const first = Math.max(0, from - start);
    const numRows = Math.max(0, state.chunks[0]!.numRows - first);
    return this.#restChunk(
      state,
      Array.from({ length: numRows }, (_, i) => first + i),
    );
  }

  /** Opens a sequence with what the trunk has seen before of its prompt. */
  async #begin(sequence: Tokens): Promise<SequenceState> {
    const { routing, cacheSalt, numTokens } = sequence;
    // Who reads all positions needs all of them computed.
    const isShared = cacheSalt !== undefined && !sequence.promptLogprobs && !sequence.pool;
    const chain =
      isShared && this.#prefixCache
        ? this.#prefixCache.chainOf(sequence.tokenIds(0, numTokens), cacheSalt)
        : [];
    const state = this.#open(sequence, this.#prefillChunk, chain);
    const trunk = [this.#trunkOf(state)];
    for (const hidden of this.#prefixCache?.restore(trunkPart, state.skippable, trunk) ?? []) {
      state.chunks.push(hidden!);
      if (routing?.isReading) routing.add(await this.#device.readRows(hidden!));
    }
    return state;
  }

  /** @param end tokens that the stages have computed by now */
  #keepBlock(
    part: string,
    { chain }: SequenceState,
    end: number,
    slots: readonly StageSlot<Tokens>[],
    hidden: HiddenStates | null,
  ): void {
    const index = end / this.#prefillChunk - 1;
    if (index in chain) this.#prefixCache?.keep(part, chain, index, slots, hidden);
  }

  #trunkOf({ trunk: slot }: SequenceState): StageSlot<Tokens> {
    return { runner: this.#trunk, slot };
  }

  /** Middle and head of a sequence that has both. */
  *#restOf({ middle, head }: SequenceState): Generator<StageSlot<Tokens>> {
    const { use, slots } = middle!;
    for (const [i, runner] of use.runners.entries()) yield { runner, slot: slots[i]! };
    yield { runner: this.#head, slot: head };
  }

  /** The next tokens through the trunk. */
  async #trunkChunk(sequence: Tokens, state: SequenceState, size: number): Promise<HiddenStates> {
    const { trunk: slot, chunks } = state;
    const tokenIds = sequence.tokenIds(slot.length, slot.length + size);
    const pass = this.#device.createPass([slot.length], tokenIds.length);
    const hidden = await this.#trunk.prefill(slot, pass, (stage, batch) =>
      stage.forward(tokenIds, batch),
    );
    chunks.push(hidden);
    return hidden;
  }

  /**
   * The trunk's next chunk through middle and head.
   * @returns logits of some of its rows; of null, what the last norm takes of all
   */
  async #restChunk(state: SequenceState, rows: readonly number[] | null): Promise<Float32Array> {
    const input = state.chunks[0]!;
    const { numRows } = input;
    const { use, slots } = state.middle!;
    const pass = this.#device.createPass([state.head.length], numRows);
    let hidden = input;
    let logits: Float32Array;
    try {
      for (const [i, runner] of use.runners.entries()) {
        const source = hidden;
        hidden = await runner.prefill(slots[i]!, pass, (stage, batch) =>
          stage.forward(source, batch),
        );
        if (source !== input) source.dispose();
      }
      this.#meter?.lap("expert");
      logits = await this.#head.prefill(state.head, pass, (stage, batch) =>
        rows === null
          ? this.#readForward(stage, hidden, batch)
          : stage.forwardLogits(hidden, batch, rows),
      );
      this.#meter?.lap("head");
      this.#meter?.countTokens(numRows);
    } finally {
      if (hidden !== input) hidden.dispose();
    }
    input.dispose();
    state.chunks.shift();
    this.#keepBlock(use.name, state, state.head.length, [...this.#restOf(state)], null);
    return logits;
  }

  async #readForward(stage: Stage, input: StageInput, batch: ForwardBatch): Promise<Float32Array> {
    const hidden = await stage.forward(input, batch);
    try {
      return (await this.#device.readRows(hidden)).slice();
    } finally {
      hidden.dispose();
    }
  }

  /**
   * Gives every decoding sequence room for one more token, in as few batches as `maxBytes` of KV
   * memory allow, with all that the others are going to need. Each sequence at its own class must fit.
   */
  arrange(maxBytes: number): void {
    const states = [...this.#states];
    const decoding = states.flatMap(([, state]) => (state.isDecoding ? [state] : []));
    const demands = decoding.map(({ trunk: { arena, length } }) => ({
      length: length + 1,
      capacity: arena.capacity,
    }));
    const bytesOf = ({ middle }: SequenceState) => (middle?.use ?? this.#dense).bytesPerPosition;
    let plan = planCapacities(demands);
    let planned = 0;
    for (const [i, state] of decoding.entries()) planned += plan[i]! * bytesOf(state);
    for (const [{ numTokens }, state] of states) {
      if (!state.isDecoding) planned += capacityFor(numTokens) * bytesOf(state);
    }
    if (planned > maxBytes) plan = demands.map(({ length }) => capacityFor(length));
    // Those that get less come first, so that there is never more than before or after.
    const growth = (i: number) => plan[i]! - demands[i]!.capacity;
    for (const i of [...plan.keys()].sort((a, b) => growth(a) - growth(b))) {
      for (const { pool, slot } of this.#slotsOf(decoding[i]!)) pool.join(slot, plan[i]!);
    }
  }

  /**
   * One token for every sequence whose prefill is through, after `arrange`.
   * @param onFailure told of the sequences of a middle whose pass failed: they are released, and all others go on.
   *   @default the whole step fails
   * @returns logits `[vocabSize]` by sequence
   * @throws InferenceError
   */
  async decode(
    onFailure: (sequences: readonly Tokens[], error: unknown) => void = (_, error) => {
      throw error;
    },
  ): Promise<Map<Tokens, Float32Array>> {
    const step = new DecodeStep(this.#device);
    try {
      const trunkRows = await this.#trunk.decode(step, (slots) =>
        Uint32Array.from(slots, (slot) => slot.owner.lastTokenId),
      );
      this.#meter?.lap("trunk");
      const middleRows = new Map<Tokens, HiddenRow>();
      for (const { name, runners } of this.#middles.values()) {
        try {
          let rows = trunkRows;
          for (const runner of runners) {
            const input = rows;
            rows = await runner.decode(step, (slots) => this.#collect(step, slots, input));
          }
          for (const [owner, row] of rows) middleRows.set(owner, row);
          this.#meter?.countRows(name, rows.size);
        } catch (error) {
          const sequences = runners[0]!.decoding;
          onFailure(sequences, error);
          for (const sequence of sequences) this.release(sequence);
        }
      }
      this.#meter?.lap("expert");
      const logits = await this.#head.decodeLogits(step, (slots) =>
        this.#collect(step, slots, middleRows),
      );
      this.#meter?.lap("head");
      this.#meter?.countTokens(logits.size);
      return logits;
    } finally {
      step.end();
    }
  }

  /** The rows of some sequences, as they are when they already lie together in order. */
  #collect(step: DecodeStep, slots: Slots, rows: ReadonlyMap<Tokens, HiddenRow>): HiddenStates {
    const wanted = slots.map((slot) => rows.get(slot.owner)!);
    const { source } = wanted[0]!;
    const inOrder = wanted.every((item, i) => item.source === source && item.row === i);
    if (inOrder && source.numRows === wanted.length) return source;
    return step.keep(this.#device.gatherRows(wanted));
  }

  /** Frees a sequence's KV. May be called twice. */
  release(sequence: Tokens): void {
    const state = this.#states.get(sequence);
    if (!state) return;
    this.#states.delete(sequence);
    for (const { pool, slot } of this.#slotsOf(state)) pool.release(slot);
    for (const chunk of state.chunks) chunk.dispose();
  }

  async dispose(): Promise<void> {
    for (const sequence of this.#states.keys()) this.release(sequence);
    this.#prefixCache?.clear();
    const middles = [...this.#middles.values()].flatMap(({ runners }) => runners);
    for (const { stage } of [this.#trunk, ...middles, this.#head]) await stage.dispose();
  }

  *#slotsOf({ trunk, middle, head }: SequenceState) {
    yield { pool: this.#trunk.pool, slot: trunk };
    for (const [i, slot] of middle?.slots.entries() ?? []) {
      yield { pool: middle!.use.runners[i]!.pool, slot };
    }
    yield { pool: this.#head.pool, slot: head };
  }

  /** @param chain of its prompt's blocks in the prefix cache */
  #open(sequence: Tokens, chunk: number, chain: readonly string[] = []): SequenceState {
    const capacity = capacityFor(Math.min(sequence.numTokens, chunk));
    const state: SequenceState = {
      trunk: this.#trunk.pool.open(sequence, capacity),
      head: this.#head.pool.open(sequence, capacity),
      middle: null,
      chunks: [],
      chain,
      skippable: chain.slice(0, Math.floor((sequence.numTokens - 1) / chunk)),
      numCached: 0,
      isDecoding: false,
    };
    this.#states.set(sequence, state);
    sequence.routing?.begin();
    return state;
  }
}
