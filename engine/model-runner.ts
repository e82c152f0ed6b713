import type {
  Device,
  ForwardBatch,
  HiddenRow,
  HiddenStates,
  KvArena,
  Stage,
  StageInput,
} from "./device.ts";
import { capacityFor, planCapacities } from "./kv-capacity.ts";
import { KvPool } from "./kv-pool.ts";
import type { KvSlot } from "./kv-pool.ts";
import type { SequenceRouting } from "./routing.ts";

/** What a forward pass needs of a sequence. */
export interface Tokens {
  /** Prompt and output so far. */
  readonly numTokens: number;
  readonly lastTokenId: number;
  /** Tokens `[start, end)`; `end` may lie past the last. */
  tokenIds(start: number, end: number): Uint32Array;
  /** Decides on the trunk's output of the prompt; absent where nobody asks for a task. */
  readonly routing?: SequenceRouting | undefined;
}

export interface ModelStages {
  readonly trunk: Stage;
  /** What an expert is; the dense one for now. */
  readonly middle: Stage;
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
}

interface StageRunner {
  readonly stage: Stage;
  readonly pool: KvPool<Tokens>;
}

/** A sequence's KV and how far its prefill is. */
interface SequenceState {
  /** In the order of the stages: trunk, middle, head. */
  readonly slots: readonly [KvSlot<Tokens>, KvSlot<Tokens>, KvSlot<Tokens>];
  /** What the sequence's chunks and tokens pass between trunk and head. */
  readonly middle: StageRunner;
  /** Trunk output of the chunks that the middle has not seen. */
  readonly chunks: HiddenStates[];
  isDecoding: boolean;
}

/**
 * The trunk takes a whole prompt before its middle starts, since the middle is chosen by the trunk's
 * output. It is a small part of the model, so several of its chunks make one step.
 */
const TRUNK_CHUNKS_PER_STEP = 4;

/** Runs forward passes: owns the stages and all KV memory. */
export class ModelRunner {
  readonly #device: Device;
  readonly #prefillChunk: number;
  /** Trunk, middle, head. */
  readonly #runners: readonly [StageRunner, StageRunner, StageRunner];
  readonly #states = new Map<Tokens, SequenceState>();
  /** KV bytes of one position in all stages. */
  readonly #bytesPerPosition: number;

  constructor({ device, stages, prefillChunk }: ModelRunnerOptions) {
    this.#device = device;
    this.#prefillChunk = prefillChunk;
    const runner = (stage: Stage): StageRunner => {
      const { layers, headDim } = stage.model;
      return { stage, pool: new KvPool(device, layers, headDim) };
    };
    this.#runners = [runner(stages.trunk), runner(stages.middle), runner(stages.head)];
    this.#bytesPerPosition = this.#runners.reduce(
      (sum, { stage }) => sum + kvBytesPerPosition(stage),
      0,
    );
  }

  /** KV bytes that a sequence of some length needs, of all stages. */
  kvBytesFor(numTokens: number): number {
    return capacityFor(numTokens) * this.#bytesPerPosition;
  }

  /**
   * One step of the prefill: some chunks of the trunk, or one chunk of the middle and head. Chunk
   * borders depend on nothing but the prompt. After the last chunk of the trunk the sequence's routing has
   * decided.
   * @returns the last token's logits, `[vocabSize]`, when the prompt is through, else null
   * @throws InferenceError
   */
  async prefill(sequence: Tokens): Promise<Float32Array | null> {
    const state = this.#states.get(sequence) ?? this.#open(sequence);
    const [trunk, , head] = this.#runners;
    const { middle } = state;
    const [trunkSlot, middleSlot, headSlot] = state.slots;
    const { numTokens: length, routing } = sequence;
    if (trunkSlot.length < length) {
      for (let i = 0; i < TRUNK_CHUNKS_PER_STEP && trunkSlot.length < length; i++) {
        const start = trunkSlot.length;
        const tokenIds = sequence.tokenIds(start, start + this.#prefillChunk);
        const batch = prefillBatch(trunk, trunkSlot, tokenIds.length);
        const hidden = await trunk.stage.forward(tokenIds, batch);
        state.chunks.push(hidden);
        trunk.pool.advance(trunkSlot, tokenIds.length);
        if (routing?.isReading) routing.add(await this.#device.readRows(hidden));
      }
      if (trunkSlot.length === length) routing?.decide();
      return null;
    }
    const input = state.chunks[0]!;
    const { numRows } = input;
    const hidden = await middle.stage.forward(input, prefillBatch(middle, middleSlot, numRows));
    middle.pool.advance(middleSlot, numRows);
    const isLast = headSlot.length + numRows === length;
    const rows = isLast ? [numRows - 1] : [];
    let logits: Float32Array;
    try {
      logits = await head.stage.forwardLogits(hidden, prefillBatch(head, headSlot, numRows), rows);
    } finally {
      hidden.dispose();
    }
    head.pool.advance(headSlot, numRows);
    input.dispose();
    state.chunks.shift();
    if (!isLast) return null;
    state.isDecoding = true;
    return logits;
  }

  /**
   * Gives every decoding sequence room for one more token, in as few batches as `maxBytes` of KV
   * memory allow. Each sequence at its own class must fit.
   */
  arrange(maxBytes: number): void {
    const states = [...this.#states.values()];
    const decoding = states.filter((state) => state.isDecoding);
    const demands = decoding.map(({ slots: [{ arena, length }] }) => ({
      length: length + 1,
      capacity: arena.capacity,
    }));
    let plan = planCapacities(demands);
    const prefilling = states
      .filter((state) => !state.isDecoding)
      .map(({ slots: [{ arena }] }) => arena.capacity);
    const positions = [...plan, ...prefilling].reduce((sum, capacity) => sum + capacity, 0);
    const planned = positions * this.#bytesPerPosition;
    if (planned > maxBytes) plan = demands.map(({ length }) => capacityFor(length));
    for (const [i, { slots }] of decoding.entries()) {
      for (const [stage, slot] of slots.entries()) this.#runners[stage]!.pool.join(slot, plan[i]!);
    }
  }

  /**
   * One token for every sequence whose prefill is through, after `arrange`.
   * @returns logits `[vocabSize]` by sequence
   * @throws InferenceError
   */
  async decode(): Promise<Map<Tokens, Float32Array>> {
    const hidden: HiddenStates[] = [];
    try {
      return await this.#decode(hidden);
    } finally {
      for (const states of hidden) states.dispose();
    }
  }

  /** @param hidden collects what is to be disposed when the pass is over */
  async #decode(hidden: HiddenStates[]): Promise<Map<Tokens, Float32Array>> {
    const [trunk, middle, head] = this.#runners;
    /** The rows of some sequences, as they are when they already lie together in order. */
    const collect = (slots: readonly KvSlot<Tokens>[], rows: ReadonlyMap<Tokens, HiddenRow>) => {
      const wanted = slots.map((slot) => rows.get(slot.owner)!);
      const { source } = wanted[0]!;
      const inOrder = wanted.every((item, i) => item.source === source && item.row === i);
      if (inOrder && source.numRows === wanted.length) return source;
      const gathered = this.#device.gatherRows(wanted);
      hidden.push(gathered);
      return gathered;
    };
    const forwardAll = async (
      { stage, pool }: StageRunner,
      inputOf: (slots: readonly KvSlot<Tokens>[]) => StageInput,
    ) => {
      const rows = new Map<Tokens, HiddenRow>();
      for (const { arena, slots } of pool.groups()) {
        const source = await stage.forward(inputOf(slots), decodeBatch(arena, slots));
        hidden.push(source);
        for (const [row, slot] of slots.entries()) {
          pool.advance(slot, 1);
          rows.set(slot.owner, { source, row });
        }
      }
      return rows;
    };
    const trunkRows = await forwardAll(trunk, (slots) =>
      Uint32Array.from(slots, (slot) => slot.owner.lastTokenId),
    );
    const middleRows = await forwardAll(middle, (slots) => collect(slots, trunkRows));
    const logits = new Map<Tokens, Float32Array>();
    const { vocabSize } = head.stage.model;
    for (const { arena, slots } of head.pool.groups()) {
      const input = collect(slots, middleRows);
      const batch = decodeBatch(arena, slots);
      const all = await head.stage.forwardLogits(input, batch, [0]);
      for (const [row, slot] of slots.entries()) {
        head.pool.advance(slot, 1);
        logits.set(slot.owner, all.subarray(row * vocabSize, (row + 1) * vocabSize));
      }
    }
    return logits;
  }

  /** Name of the middle that a sequence in prefill or decode runs on. */
  expertOf(sequence: Tokens): string {
    return this.#states.get(sequence)!.middle.stage.model.name;
  }

  /** Frees a sequence's KV. May be called twice. */
  release(sequence: Tokens): void {
    const state = this.#states.get(sequence);
    if (!state) return;
    this.#states.delete(sequence);
    for (const [stage, slot] of state.slots.entries()) this.#runners[stage]!.pool.release(slot);
    for (const chunk of state.chunks) chunk.dispose();
  }

  async dispose(): Promise<void> {
    for (const sequence of this.#states.keys()) this.release(sequence);
    for (const { stage } of this.#runners) await stage.dispose();
  }

  #open(sequence: Tokens): SequenceState {
    const capacity = capacityFor(Math.min(sequence.numTokens, this.#prefillChunk));
    const [trunk, middle, head] = this.#runners;
    const open = ({ pool }: StageRunner) => pool.open(sequence, capacity);
    const slots = [open(trunk), open(middle), open(head)] as const;
    const state: SequenceState = { slots, middle, chunks: [], isDecoding: false };
    this.#states.set(sequence, state);
    sequence.routing?.begin();
    return state;
  }
}

/** The next tokens of one sequence, with room made for them. */
function prefillBatch(
  { pool }: StageRunner,
  slot: KvSlot<Tokens>,
  numNewTokens: number,
): ForwardBatch {
  pool.grow(slot, capacityFor(slot.length + numNewTokens));
  return { arena: slot.arena, firstSlot: slot.index, pastLengths: [slot.length], numNewTokens };
}

/** One new token for every sequence of a shared arena. */
function decodeBatch(arena: KvArena, slots: readonly KvSlot<Tokens>[]): ForwardBatch {
  return { arena, firstSlot: 0, pastLengths: slots.map((slot) => slot.length), numNewTokens: 1 };
}

function kvBytesPerPosition({ model: { layers, headDim } }: Stage): number {
  return layers.reduce((sum, { numHeads, numKvHeads }) => {
    return numHeads > 0 ? sum + 2 * numKvHeads * headDim * Float32Array.BYTES_PER_ELEMENT : sum;
  }, 0);
}
