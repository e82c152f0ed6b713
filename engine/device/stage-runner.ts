import type { DecodeStep } from "./decode-step.ts";
import type { Device, ForwardBatch, ForwardPass, HiddenRow, Stage, StageInput } from "./device.ts";
import { capacityFor } from "./kv-capacity.ts";
import { KvPool } from "./kv-pool.ts";
import type { KvSlot } from "./kv-pool.ts";

/** A stage and the KV of the sequences that run through it. */
export class StageRunner<Owner> {
  readonly stage: Stage;
  readonly pool: KvPool<Owner>;

  /** @param maxBatch sequences that decode at once */
  constructor(device: Device, stage: Stage, maxBatch: number) {
    const { layers, headDim } = stage.spec;
    this.stage = stage;
    this.pool = new KvPool(device, { layers, headDim }, maxBatch);
  }

  /** KV bytes of one position. */
  get bytesPerPosition(): number {
    const { layers, headDim } = this.stage.spec;
    return layers.reduce((sum, { numHeads, numKvHeads }) => {
      return numHeads > 0 ? sum + 2 * numKvHeads * headDim * Float32Array.BYTES_PER_ELEMENT : sum;
    }, 0);
  }

  /** Bytes of one position in the keys of the layer that has most. */
  get largestKvBytes(): number {
    const { layers, headDim } = this.stage.spec;
    const numHeads = layers.map((layer) => (layer.numHeads > 0 ? layer.numKvHeads : 0));
    return Math.max(0, ...numHeads) * headDim * Float32Array.BYTES_PER_ELEMENT;
  }

  /** The sequences that decode. */
  get decoding(): Owner[] {
    return Array.from(this.pool.groups(), ({ slots }) => slots.map(({ owner }) => owner)).flat();
  }

  /** Makes room for the next tokens of a sequence that is being prefilled. */
  reserve(slot: KvSlot<Owner>, numNewTokens: number): void {
    this.pool.grow(slot, capacityFor(slot.length + numNewTokens));
  }

  /** A pass of one sequence, with room made for its tokens. */
  async prefill<Result>(
    slot: KvSlot<Owner>,
    pass: ForwardPass,
    run: (stage: Stage, batch: ForwardBatch) => Promise<Result>,
  ): Promise<Result> {
    this.reserve(slot, pass.numNewTokens);
    const { arena, index: firstSlot } = slot;
    const result = await run(this.stage, { arena, firstSlot, pass });
    this.pool.advance(slot, pass.numNewTokens);
    return result;
  }

  /** One token of each sequence that decodes. */
  async decode(
    step: DecodeStep,
    inputOf: (slots: readonly KvSlot<Owner>[]) => StageInput,
  ): Promise<Map<Owner, HiddenRow>> {
    const rows = new Map<Owner, HiddenRow>();
    for (const { slots, batch } of this.#batches(step)) {
      const source = step.keep(await this.stage.forward(inputOf(slots), batch));
      for (const [row, slot] of slots.entries()) {
        this.pool.advance(slot, 1);
        rows.set(slot.owner, { source, row });
      }
    }
    return rows;
  }

  /** As `decode`, for a stage with the head. @returns logits `[vocabSize]` by sequence */
  async decodeLogits(
    step: DecodeStep,
    inputOf: (slots: readonly KvSlot<Owner>[]) => StageInput,
  ): Promise<Map<Owner, Float32Array>> {
    const logits = new Map<Owner, Float32Array>();
    const { vocabSize } = this.stage.spec;
    for (const { slots, batch } of this.#batches(step)) {
      const all = await this.stage.forwardLogits(inputOf(slots), batch, [0]);
      for (const [row, slot] of slots.entries()) {
        this.pool.advance(slot, 1);
        logits.set(slot.owner, all.subarray(row * vocabSize, (row + 1) * vocabSize));
      }
    }
    return logits;
  }

  /** The sequences of each shared arena. */
  *#batches(step: DecodeStep) {
    for (const { arena, slots } of this.pool.groups()) {
      const pass = step.passOf(slots.map((slot) => slot.length));
      const batch: ForwardBatch = { arena, firstSlot: 0, pass };
      yield { slots, batch };
    }
  }
}
