import { pastFeeds } from "../../runtime/past-feeds.ts";
import type { Feeds } from "../../runtime/tensor.ts";
import type { ArenaSpec, KvArena, KvRange } from "./kv-arena.ts";
import { tailPositions, tailStartOf } from "./kv-tail.ts";
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
  /** The positions after those, `[numSlots, numKvHeads, tailPositions, headDim]`. */
  readonly tailKeys: SlotMemory;
  /** As the keys. */
  readonly tailValues: SlotMemory;
}

/** A position of a slot's KV head in a layer. */
interface Place {
  readonly layer: LayerKv;
  /** Counted over all slots. */
  readonly head: number;
  readonly position: number;
  /** Positions that the sequence has. */
  readonly length: number;
}

/** KV memory that JavaScript owns and ONNX Runtime reads in place. */
export class CpuArena implements KvArena {
  readonly capacity: number;
  readonly #headDim: number;
  readonly #layers: readonly LayerKv[];
  #numSlots: number;
  #feeds: { place: FedSlots; tensors: Feeds } | null = null;

  /** @param onResize called with every change of the allocated bytes */
  constructor(spec: ArenaSpec, onResize: (deltaBytes: number) => void) {
    const { capacity, headDim, numSlots, maxSlots = numSlots, isStore = false } = spec;
    const tail = isStore ? 0 : tailPositions;
    this.capacity = capacity;
    this.#headDim = headDim;
    this.#layers = spec.layers.flatMap(({ numHeads, numKvHeads }, index) => {
      if (numHeads === 0) return [];
      const memory = (positions: number) =>
        new SlotMemory({ slotLength: numKvHeads * headDim * positions, maxSlots, onResize });
      return [
        {
          ...{ index, numKvHeads },
          ...{ keys: memory(capacity), values: memory(capacity) },
          ...{ tailKeys: memory(tail), tailValues: memory(tail) },
        },
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
    const past = { from, fromStart: 0, target, to, toStart: 0, length: tailStartOf(length) };
    for (const [layer, source] of this.#layers.entries()) {
      const destination = target.#layers[layer]!;
      destination.keys.resize(to + 1);
      this.#copyKeys(layer, past);
      source.keys.remove(from);
      destination.values.resize(to + 1);
      this.#copyValues(layer, past);
      source.values.remove(from);
      for (const part of ["tailKeys", "tailValues"] as const) {
        destination[part].resize(to + 1);
        this.#copyTail(source[part], destination[part], { ...past, length });
        source[part].remove(from);
      }
    }
  }

  removeSlot(slot: number): void {
    this.#feeds = null;
    this.#numSlots--;
    for (const memory of this.#memories()) memory.remove(slot);
  }

  copyRange(range: KvRange): void {
    const { fromStart, toStart, length } = range;
    // Then all of it is past on both sides.
    const isAligned = [fromStart, toStart, length].every((number) => number % tailPositions === 0);
    for (const layer of this.#layers.keys()) {
      if (isAligned) {
        this.#copyKeys(layer, range as CpuRange);
        this.#copyValues(layer, range as CpuRange);
      } else this.#copyRows(layer, range as CpuRange);
    }
  }

  /**
   * Appends new keys and values, each `[numSequences, kvHeads of all layers, 1, 1, numNewTokens, headDim]`.
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
      const length = past + numNewTokens;
      for (const layer of this.#layers) {
        const { numKvHeads } = layer;
        for (let head = slot * numKvHeads; head < (slot + 1) * numKvHeads; head++) {
          this.#endTail(layer, head, past, length);
          for (let position = past; position < length; position++) {
            const end = offset + dim;
            const place = { layer, head, position, length };
            this.#write(place, newKeys.subarray(offset, end), newValues.subarray(offset, end));
            offset = end;
          }
        }
      }
    }
  }

  /** The past and the tail of some slots as feeds. */
  feeds(place: FedSlots): Feeds {
    const { firstSlot, numSequences, withPast, tailLength, pastLengths } = place;
    if (tailLength > tailPositions) return this.#makeFeeds(place);
    const cached = this.#feeds;
    if (
      cached?.place.firstSlot === firstSlot &&
      cached.place.numSequences === numSequences &&
      cached.place.withPast === withPast
    ) {
      return cached.tensors;
    }
    const tensors = this.#makeFeeds({ ...place, pastLengths });
    this.#feeds = { place, tensors };
    return tensors;
  }

  dispose(): void {
    this.#feeds = null;
    this.#numSlots = 0;
    for (const memory of this.#memories()) memory.resize(0);
  }

  #memories(): SlotMemory[] {
    return this.#layers.flatMap(({ keys, values, tailKeys, tailValues }) => [
      ...[keys, values],
      ...[tailKeys, tailValues],
    ]);
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

  /** The rows of a tail that a sequence of a length has. */
  #copyTail(source: SlotMemory, target: SlotMemory, { from, to, length }: CpuRange): void {
    const dim = this.#headDim;
    const numRows = length - tailStartOf(length);
    const headLength = tailPositions * dim;
    const numHeads = source.slotLength / headLength;
    for (let head = 0; head < numHeads; head++) {
      const start = (from * numHeads + head) * headLength;
      const rows = source.data.subarray(start, start + numRows * dim);
      target.data.set(rows, (to * numHeads + head) * headLength);
    }
  }

  /** Positions that need not be past on both sides. */
  #copyRows(layer: number, { from, fromStart, target, to, toStart, length }: CpuRange): void {
    const [source, destination] = [this.#layers[layer]!, target.#layers[layer]!];
    const dim = this.#headDim;
    const [key, value] = [new Float32Array(dim), new Float32Array(dim)];
    const [fromLength, toLength] = [fromStart + length, toStart + length];
    for (let head = 0; head < source.numKvHeads; head++) {
      const ownHead = from * source.numKvHeads + head;
      const otherHead = to * source.numKvHeads + head;
      target.#endTail(destination, otherHead, toStart, toLength);
      for (let i = 0; i < length; i++) {
        const own = { head: ownHead, position: fromStart + i, length: fromLength };
        this.#read({ layer: source, ...own }, key, value);
        const other = { head: otherHead, position: toStart + i, length: toLength };
        target.#write({ layer: destination, ...other }, key, value);
      }
    }
  }

  /** Moves a tail's positions to the past where a sequence that grows has them there. */
  #endTail(layer: LayerKv, head: number, length: number, newLength: number): void {
    const start = tailStartOf(length);
    if (tailStartOf(newLength) === start) return;
    const dim = this.#headDim;
    for (let position = start; position < length; position++) {
      const row = (head * tailPositions + position - start) * dim;
      const [key, value] = [layer.tailKeys, layer.tailValues].map(({ data }) =>
        data.subarray(row, row + dim),
      );
      this.#write({ layer, head, position, length: newLength }, key!, value!);
    }
  }

  #write({ layer, head, position, length }: Place, key: Float32Array, value: Float32Array): void {
    const dim = this.#headDim;
    const start = tailStartOf(length);
    if (position >= start) {
      const row = (head * tailPositions + position - start) * dim;
      layer.tailKeys.data.set(key, row);
      layer.tailValues.data.set(value, row);
      return;
    }
    const keys = layer.keys.data;
    layer.values.data.set(value, (head * this.capacity + position) * dim);
    for (let d = 0, at = head * dim * this.capacity + position; d < dim; d++) {
      keys[at] = key[d]!;
      at += this.capacity;
    }
  }

  #read({ layer, head, position, length }: Place, key: Float32Array, value: Float32Array): void {
    const dim = this.#headDim;
    const start = tailStartOf(length);
    if (position >= start) {
      const row = (head * tailPositions + position - start) * dim;
      key.set(layer.tailKeys.data.subarray(row, row + dim));
      value.set(layer.tailValues.data.subarray(row, row + dim));
      return;
    }
    const row = (head * this.capacity + position) * dim;
    value.set(layer.values.data.subarray(row, row + dim));
    for (let d = 0; d < dim; d++) {
      key[d] = layer.keys.data[(head * dim + d) * this.capacity + position]!;
    }
  }

  #makeFeeds(place: FedSlots): Feeds {
    const { firstSlot, numSequences, withPast, tailLength } = place;
    const dim = this.#headDim;
    const capacity = withPast ? this.capacity : 0;
    const pasts = this.#layers.map((layer) => {
      const { index, numKvHeads, keys, values, tailKeys, tailValues } = layer;
      const part = ({ data }: SlotMemory, positions: number, fed = positions) => {
        const start = firstSlot * numKvHeads * positions * dim;
        return data.subarray(start, start + numSequences * numKvHeads * fed * dim);
      };
      const tail = (memory: SlotMemory) =>
        tailLength === tailPositions
          ? part(memory, tailPositions)
          : this.#longTail(part(memory, tailPositions), place);
      return {
        ...{ index, numKvHeads },
        keys: part(keys, this.capacity, capacity),
        values: part(values, this.capacity, capacity),
        ...{ tailKeys: tail(tailKeys), tailValues: tail(tailValues) },
      };
    });
    return pastFeeds(pasts, { numSequences, headDim: dim, capacity, tailLength });
  }

  /** The tails of one layer with room for more new tokens than they hold. */
  #longTail(
    tails: Float32Array,
    { numSequences, tailLength, pastLengths }: FedSlots,
  ): Float32Array {
    const dim = this.#headDim;
    const numHeads = tails.length / (numSequences * tailPositions * dim);
    const result = new Float32Array(numSequences * numHeads * tailLength * dim);
    for (const [sequence, past] of pastLengths.entries()) {
      const numRows = past - tailStartOf(past);
      for (let i = sequence * numHeads; i < (sequence + 1) * numHeads; i++) {
        const start = i * tailPositions * dim;
        result.set(tails.subarray(start, start + numRows * dim), i * tailLength * dim);
      }
    }
    return result;
  }
}

/** Neighbouring slots that go through a session together. */
export interface FedSlots {
  readonly firstSlot: number;
  readonly numSequences: number;
  /** Positions in use, by sequence. */
  readonly pastLengths: readonly number[];
  /** Some sequence has a past; else no position of it is fed. */
  readonly withPast: boolean;
  /** Places of each tail. */
  readonly tailLength: number;
}
