import { pastFeeds } from "../runtime/past-feeds.ts";
import type { Feeds } from "../runtime/tensor.ts";
import type { ArenaSpec, KvArena } from "./device.ts";

interface LayerKv {
  /** Place in the stage, counting layers without attention. */
  readonly index: number;
  readonly numKvHeads: number;
  /** `[numSlots, numKvHeads, headDim, capacity]`: transposed, see `buildStage`. */
  keys: Float32Array;
  /** `[numSlots, numKvHeads, capacity, headDim]` */
  values: Float32Array;
}

/** KV memory that JavaScript owns and ONNX Runtime reads in place. */
export class CpuArena implements KvArena {
  readonly capacity: number;
  readonly #headDim: number;
  readonly #layers: readonly LayerKv[];
  readonly #onResize: (deltaBytes: number) => void;
  #numSlots = 0;
  #feeds: { firstSlot: number; numSequences: number; tensors: Feeds } | null = null;

  /** @param onResize called with every change of the allocated bytes */
  constructor(spec: ArenaSpec, onResize: (deltaBytes: number) => void) {
    this.capacity = spec.capacity;
    this.#headDim = spec.headDim;
    this.#onResize = onResize;
    this.#layers = spec.layers.flatMap(({ numHeads, numKvHeads }, index) =>
      numHeads === 0
        ? []
        : [{ index, numKvHeads, keys: new Float32Array(0), values: new Float32Array(0) }],
    );
    this.resize(spec.numSlots);
  }

  get numSlots(): number {
    return this.#numSlots;
  }

  get sizeBytes(): number {
    return this.#numSlots * this.#slotBytes;
  }

  get #slotBytes(): number {
    const heads = this.#layers.reduce((sum, layer) => sum + layer.numKvHeads, 0);
    return 2 * heads * this.capacity * this.#headDim * Float32Array.BYTES_PER_ELEMENT;
  }

  resize(numSlots: number): void {
    this.#feeds = null;
    for (const layer of this.#layers) {
      const length = numSlots * layer.numKvHeads * this.capacity * this.#headDim;
      layer.keys = resized(layer.keys, length);
      layer.values = resized(layer.values, length);
    }
    this.#onResize((numSlots - this.#numSlots) * this.#slotBytes);
    this.#numSlots = numSlots;
  }

  copySlot(from: number, target: CpuArena, to: number, length: number): void {
    this.copyRange(from, 0, target, to, 0, length);
    target.#clear(to, length);
  }

  copyRange(
    from: number,
    fromStart: number,
    target: CpuArena,
    to: number,
    toStart: number,
    length: number,
  ): void {
    const dim = this.#headDim;
    for (const [layer, { numKvHeads, keys, values }] of this.#layers.entries()) {
      const destination = target.#layers[layer]!;
      for (let head = 0; head < numKvHeads; head++) {
        const sourceHead = from * numKvHeads + head;
        const targetHead = to * numKvHeads + head;
        const start = (sourceHead * this.capacity + fromStart) * dim;
        destination.values.set(
          values.subarray(start, start + length * dim),
          (targetHead * target.capacity + toStart) * dim,
        );
        for (let d = 0; d < dim; d++) {
          const keyStart = (sourceHead * dim + d) * this.capacity + fromStart;
          destination.keys.set(
            keys.subarray(keyStart, keyStart + length),
            (targetHead * dim + d) * target.capacity + toStart,
          );
        }
      }
    }
  }

  /**
   * Appends new keys and values, each `[numSequences, kvHeads of all layers, 1, numNewTokens, headDim]`.
   */
  append(
    newKeys: Float32Array,
    newValues: Float32Array,
    firstSlot: number,
    pastLengths: readonly number[],
    numNewTokens: number,
  ): void {
    const dim = this.#headDim;
    let offset = 0;
    for (const [sequence, past] of pastLengths.entries()) {
      const slot = firstSlot + sequence;
      for (const { numKvHeads, keys, values } of this.#layers) {
        for (let head = slot * numKvHeads; head < (slot + 1) * numKvHeads; head++) {
          values.set(
            newValues.subarray(offset, offset + numNewTokens * dim),
            (head * this.capacity + past) * dim,
          );
          for (let d = 0; d < dim; d++) {
            const target = (head * dim + d) * this.capacity + past;
            for (let token = 0; token < numNewTokens; token++) {
              keys[target + token] = newKeys[offset + token * dim + d]!;
            }
          }
          offset += numNewTokens * dim;
        }
      }
    }
  }

  /** The past of some slots as feeds; `empty` feeds no position at all, for sequences without a past. */
  feeds(firstSlot: number, numSequences: number, empty: boolean): Feeds {
    if (empty) return this.#makeFeeds(firstSlot, numSequences, 0);
    const cached = this.#feeds;
    if (cached?.firstSlot === firstSlot && cached.numSequences === numSequences)
      return cached.tensors;
    const tensors = this.#makeFeeds(firstSlot, numSequences, this.capacity);
    this.#feeds = { firstSlot, numSequences, tensors };
    return tensors;
  }

  dispose(): void {
    this.resize(0);
  }

  /** A slot's positions from `start` on. */
  #clear(slot: number, start: number): void {
    const [dim, capacity] = [this.#headDim, this.capacity];
    for (const { numKvHeads, keys, values } of this.#layers) {
      for (let head = slot * numKvHeads; head < (slot + 1) * numKvHeads; head++) {
        values.fill(0, (head * capacity + start) * dim, (head + 1) * capacity * dim);
        for (let row = head * dim; row < (head + 1) * dim; row++) {
          keys.fill(0, row * capacity + start, (row + 1) * capacity);
        }
      }
    }
  }

  #makeFeeds(firstSlot: number, numSequences: number, capacity: number): Feeds {
    const dim = this.#headDim;
    const pasts = this.#layers.map(({ index, numKvHeads, keys, values }) => {
      const start = firstSlot * numKvHeads * this.capacity * dim;
      const end = start + numSequences * numKvHeads * capacity * dim;
      return {
        ...{ index, numKvHeads },
        ...{ keys: keys.subarray(start, end), values: values.subarray(start, end) },
      };
    });
    return pastFeeds(pasts, { numSequences, headDim: dim, capacity });
  }
}

function resized(old: Float32Array, length: number): Float32Array {
  const result = new Float32Array(length);
  result.set(old.subarray(0, Math.min(old.length, length)));
  return result;
}
