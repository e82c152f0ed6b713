import { pastFeeds } from "../../runtime/past-feeds.ts";
import type { Feeds } from "../../runtime/tensor.ts";
import type { ArenaSpec, KvArena, KvRange } from "./kv-arena.ts";
import { SlotMemory } from "./slot-memory.ts";

type CpuRange = KvRange & { readonly target: CpuArena };

interface LayerKv {
  /** Place in the stage, counting layers without attention. */
  readonly index: number;
  readonly numKvHeads: number;
  /** `[numSlots, numKvHeads, headDim, capacity]`: transposed, see `writeStage`. */
  readonly keys: SlotMemory;
  /** `[numSlots, numKvHeads, capacity, headDim]` */
  readonly values: SlotMemory;
}

/** KV memory that JavaScript owns and ONNX Runtime reads in place. */
export class CpuArena implements KvArena {
  readonly capacity: number;
  readonly #headDim: number;
  readonly #layers: readonly LayerKv[];
  #numSlots: number;
  #feeds: { firstSlot: number; numSequences: number; tensors: Feeds } | null = null;

  /** @param onResize called with every change of the allocated bytes */
  constructor(spec: ArenaSpec, onResize: (deltaBytes: number) => void) {
    const { capacity, headDim, numSlots, maxSlots = numSlots } = spec;
    this.capacity = capacity;
    this.#headDim = headDim;
    this.#layers = spec.layers.flatMap(({ numHeads, numKvHeads }, index) => {
      if (numHeads === 0) return [];
      const options = { slotLength: numKvHeads * headDim * capacity, maxSlots, onResize };
      return [
        { index, numKvHeads, keys: new SlotMemory(options), values: new SlotMemory(options) },
      ];
    });
    this.#numSlots = numSlots;
    for (const memory of this.#memories()) memory.resize(numSlots);
  }

  get numSlots(): number {
    return this.#numSlots;
  }

  get sizeBytes(): number {
    return this.#memories().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  moveSlot(from: number, target: CpuArena, length: number): void {
    this.#feeds = null;
    target.#feeds = null;
    const to = target.#numSlots++;
    this.#numSlots--;
    for (const [layer, source] of this.#layers.entries()) {
      const destination = target.#layers[layer]!;
      destination.keys.resize(to + 1);
      this.#copyKeys(layer, { from, fromStart: 0, target, to, toStart: 0, length });
      source.keys.remove(from);
      destination.values.resize(to + 1);
      this.#copyValues(layer, { from, fromStart: 0, target, to, toStart: 0, length });
      source.values.remove(from);
    }
  }

  removeSlot(slot: number): void {
    this.#feeds = null;
    this.#numSlots--;
    for (const memory of this.#memories()) memory.remove(slot);
  }

  copyRange(range: KvRange): void {
    for (const layer of this.#layers.keys()) {
      this.#copyKeys(layer, range as CpuRange);
      this.#copyValues(layer, range as CpuRange);
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
      for (const layer of this.#layers) {
        const { numKvHeads } = layer;
        const [keys, values] = [layer.keys.data, layer.values.data];
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
    this.#feeds = null;
    this.#numSlots = 0;
    for (const memory of this.#memories()) memory.resize(0);
  }

  #memories(): SlotMemory[] {
    return this.#layers.flatMap(({ keys, values }) => [keys, values]);
  }

  #copyKeys(layer: number, { from, fromStart, target, to, toStart, length }: CpuRange): void {
    const { numKvHeads, keys } = this.#layers[layer]!;
    const [source, destination] = [keys.data, target.#layers[layer]!.keys.data];
    const numRows = numKvHeads * this.#headDim;
    for (let row = 0; row < numRows; row++) {
      const start = (from * numRows + row) * this.capacity + fromStart;
      destination.set(
        source.subarray(start, start + length),
        (to * numRows + row) * target.capacity + toStart,
      );
    }
  }

  #copyValues(layer: number, { from, fromStart, target, to, toStart, length }: CpuRange): void {
    const { numKvHeads, values } = this.#layers[layer]!;
    const [source, destination] = [values.data, target.#layers[layer]!.values.data];
    const dim = this.#headDim;
    for (let head = 0; head < numKvHeads; head++) {
      const start = ((from * numKvHeads + head) * this.capacity + fromStart) * dim;
      destination.set(
        source.subarray(start, start + length * dim),
        ((to * numKvHeads + head) * target.capacity + toStart) * dim,
      );
    }
  }

  #makeFeeds(firstSlot: number, numSequences: number, capacity: number): Feeds {
    const dim = this.#headDim;
    const pasts = this.#layers.map(({ index, numKvHeads, keys, values }) => {
      const start = firstSlot * numKvHeads * this.capacity * dim;
      const end = start + numSequences * numKvHeads * capacity * dim;
      return {
        ...{ index, numKvHeads },
        ...{ keys: keys.data.subarray(start, end), values: values.data.subarray(start, end) },
      };
    });
    return pastFeeds(pasts, { numSequences, headDim: dim, capacity });
  }
}
