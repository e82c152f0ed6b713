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
  /** The positions after those: keys and behind them values, `[numSlots, 2 * numKvHeads, tailPositions, headDim]`. */
  readonly tail: SlotMemory;
}

/** A KV head of a slot in a layer. */
interface HeadPlace {
  readonly layer: LayerKv;
  readonly slot: number;
  readonly head: number;
}

/** Positions of a head, one after the other, each `[numPositions, headDim]`. */
interface HeadRows {
  readonly keys: Float32Array;
  readonly values: Float32Array;
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
          tail: memory(isStore ? 0 : 2 * tailPositions),
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
      destination.tail.resize(to + 1);
      this.#copyTail(source, destination, { ...past, length });
      source.tail.remove(from);
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
   * Appends new keys and values: of each layer the keys and behind them the values,
   * `[numSequences, 2 * kvHeads of all layers, 1, 1, numNewTokens, headDim]`.
   */
  append(
    newKv: Float32Array,
    firstSlot: number,
    pastLengths: readonly number[],
    numNewTokens: number,
  ): void {
    const dim = this.#headDim;
    const headLength = numNewTokens * dim;
    let offset = 0;
    for (const [sequence, past] of pastLengths.entries()) {
      const slot = firstSlot + sequence;
      for (const layer of this.#layers) {
        const { numKvHeads } = layer;
        for (let head = 0; head < numKvHeads; head++) {
          const key = offset + head * headLength;
          const value = key + numKvHeads * headLength;
          this.#appendTo({ layer, slot, head }, past, {
            keys: newKv.subarray(key, key + headLength),
            values: newKv.subarray(value, value + headLength),
          });
        }
        offset += 2 * numKvHeads * headLength;
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
    return this.#layers.flatMap(({ keys, values, tail }) => [keys, values, tail]);
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
  #copyTail(source: LayerKv, target: LayerKv, { from, to, length }: CpuRange): void {
    const dim = this.#headDim;
    const numRows = length - tailStartOf(length);
    for (let head = 0; head < 2 * source.numKvHeads; head++) {
      const [own, other] = [from, to].map(
        (slot) => (slot * 2 * source.numKvHeads + head) * tailPositions * dim,
      );
      target.tail.data.set(source.tail.data.subarray(own, own! + numRows * dim), other);
    }
  }

  /** Positions that need not be past on both sides. */
  #copyRows(layer: number, { from, fromStart, target, to, toStart, length }: CpuRange): void {
    const [source, destination] = [this.#layers[layer]!, target.#layers[layer]!];
    for (let head = 0; head < source.numKvHeads; head++) {
      const rows = this.#read({ layer: source, slot: from, head }, fromStart, length);
      target.#appendTo({ layer: destination, slot: to, head }, toStart, rows);
    }
  }

  /** Appends to a head that has some positions. */
  #appendTo(place: HeadPlace, past: number, { keys, values }: HeadRows): void {
    const dim = this.#headDim;
    const length = past + keys.length / dim;
    const [before, after] = [tailStartOf(past), tailStartOf(length)];
    if (after > before) {
      // What was tail is past from now on.
      this.#writePast(place, before, this.#tailRows(place, 0, past - before));
    }
    const numPast = Math.max(0, after - past);
    const split = numPast * dim;
    if (numPast > 0) {
      const rows = { keys: keys.subarray(0, split), values: values.subarray(0, split) };
      this.#writePast(place, past, rows);
    }
    const tail = this.#tailRows(place, Math.max(past, after) - after, length - after);
    tail.keys.set(keys.subarray(split));
    tail.values.set(values.subarray(split));
  }

  #writePast({ layer, slot, head }: HeadPlace, position: number, rows: HeadRows): void {
    const dim = this.#headDim;
    const { capacity } = this;
    const headOfAll = slot * layer.numKvHeads + head;
    layer.values.data.set(rows.values, (headOfAll * capacity + position) * dim);
    const target = layer.keys.data;
    const source = rows.keys;
    for (let d = 0; d < dim; d++) {
      let to = (headOfAll * dim + d) * capacity + position;
      for (let from = d; from < source.length; from += dim) target[to++] = source[from]!;
    }
  }

  /** Copies of some positions of a sequence, whose last they are. */
  #read(place: HeadPlace, position: number, count: number): HeadRows {
    const { layer, slot, head } = place;
    const dim = this.#headDim;
    const { capacity } = this;
    const tailStart = tailStartOf(position + count);
    const numPast = Math.max(0, tailStart - position);
    const headOfAll = slot * layer.numKvHeads + head;
    const [keys, values] = [new Float32Array(count * dim), new Float32Array(count * dim)];
    const row = (headOfAll * capacity + position) * dim;
    values.set(layer.values.data.subarray(row, row + numPast * dim));
    for (let d = 0; d < dim; d++) {
      let from = (headOfAll * dim + d) * capacity + position;
      for (let i = 0; i < numPast; i++) keys[i * dim + d] = layer.keys.data[from++]!;
    }
    const end = position + count - tailStart;
    const tail = this.#tailRows(place, position + numPast - tailStart, end);
    keys.set(tail.keys, numPast * dim);
    values.set(tail.values, numPast * dim);
    return { keys, values };
  }

  /** Rows `[start, end)` of a tail, in place. */
  #tailRows({ layer, slot, head }: HeadPlace, start: number, end: number): HeadRows {
    const { numKvHeads, tail } = layer;
    const dim = this.#headDim;
    const first = (slot * 2 * numKvHeads + head) * tailPositions * dim;
    const rows = (offset: number) =>
      tail.data.subarray(first + offset + start * dim, first + offset + end * dim);
    return { keys: rows(0), values: rows(numKvHeads * tailPositions * dim) };
  }

  #makeFeeds(place: FedSlots): Feeds {
    const { firstSlot, numSequences, withPast, tailLength } = place;
    const dim = this.#headDim;
    const capacity = withPast ? this.capacity : 0;
    const pasts = this.#layers.map(({ index, numKvHeads, keys, values, tail }) => {
      const slots = ({ data }: SlotMemory, rows: number, fed = rows) => {
        const start = firstSlot * numKvHeads * rows * dim;
        return data.subarray(start, start + numSequences * numKvHeads * fed * dim);
      };
      const tails = slots(tail, 2 * tailPositions);
      return {
        ...{ index, numKvHeads },
        keys: slots(keys, this.capacity, capacity),
        values: slots(values, this.capacity, capacity),
        tail: tailLength === tailPositions ? tails : this.#longTails(tails, place),
      };
    });
    return pastFeeds(pasts, { numSequences, headDim: dim, capacity, tailLength });
  }

  /** The tails of one layer with room for more new tokens than they hold. */
  #longTails(
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
