import type {
  Device,
  ForwardBatch,
  HiddenRow,
  HiddenStates,
  KvArena,
  Stage,
  StageInput,
} from "./device.ts";
import { capacityFor } from "./kv-capacity.ts";
import { KvPool } from "./kv-pool.ts";
import type { KvSlot } from "./kv-pool.ts";

/** A stage and the KV of the sequences that run through it. */
export class StageRunner<Owner> {
  readonly stage: Stage;
  readonly pool: KvPool<Owner>;

  constructor(device: Device, stage: Stage) {
    const { layers, headDim } = stage.model;
    this.stage = stage;
    this.pool = new KvPool(device, layers, headDim);
  }

  /** KV bytes of one position. */
  get bytesPerPosition(): number {
    const { layers, headDim } = this.stage.model;
    return layers.reduce((sum, { numHeads, numKvHeads }) => {
      return numHeads > 0 ? sum + 2 * numKvHeads * headDim * Float32Array.BYTES_PER_ELEMENT : sum;
    }, 0);
  }

  /** The sequences that decode. */
  get decoding(): Owner[] {
    return Array.from(this.pool.groups(), ({ slots }) => slots.map(({ owner }) => owner)).flat();
  }

  /** Makes room for the next tokens of a sequence that is being prefilled. */
  reserve(slot: KvSlot<Owner>, numNewTokens: number): void {
    this.pool.grow(slot, capacityFor(slot.length + numNewTokens));
  }

  /** The next tokens of one sequence, with room made for them. */
  async prefill<Result>(
    slot: KvSlot<Owner>,
    numNewTokens: number,
    run: (stage: Stage, batch: ForwardBatch) => Promise<Result>,
  ): Promise<Result> {
    this.reserve(slot, numNewTokens);
    const { arena, index: firstSlot, length } = slot;
    const result = await run(this.stage, {
      ...{ arena, firstSlot, numNewTokens },
      pastLengths: [length],
    });
    this.pool.advance(slot, numNewTokens);
    return result;
  }

  /**
   * One token of each sequence that decodes.
   * @param hidden collects what is to be disposed when the step is over
   */
  async decode(
    inputOf: (slots: readonly KvSlot<Owner>[]) => StageInput,
    hidden: HiddenStates[],
  ): Promise<Map<Owner, HiddenRow>> {
    const rows = new Map<Owner, HiddenRow>();
    for (const { arena, slots } of this.pool.groups()) {
      const source = await this.stage.forward(inputOf(slots), decodeBatch(arena, slots));
      hidden.push(source);
      for (const [row, slot] of slots.entries()) {
        this.pool.advance(slot, 1);
        rows.set(slot.owner, { source, row });
      }
    }
    return rows;
  }

  /** As `decode`, for a stage with the head. @returns logits `[vocabSize]` by sequence */
  async decodeLogits(
    inputOf: (slots: readonly KvSlot<Owner>[]) => StageInput,
  ): Promise<Map<Owner, Float32Array>> {
    const logits = new Map<Owner, Float32Array>();
    const { vocabSize } = this.stage.model;
    for (const { arena, slots } of this.pool.groups()) {
      const batch = decodeBatch(arena, slots);
      const all = await this.stage.forwardLogits(inputOf(slots), batch, [0]);
      for (const [row, slot] of slots.entries()) {
        this.pool.advance(slot, 1);
        logits.set(slot.owner, all.subarray(row * vocabSize, (row + 1) * vocabSize));
      }
    }
    return logits;
  }
}

/** One new token for every sequence of a shared arena. */
function decodeBatch<Owner>(arena: KvArena, slots: readonly KvSlot<Owner>[]): ForwardBatch {
  return { arena, firstSlot: 0, pastLengths: slots.map((slot) => slot.length), numNewTokens: 1 };
}
