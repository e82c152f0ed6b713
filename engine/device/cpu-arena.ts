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

interface Place extends HeadPlace {
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
      const length = past + numNewTokens;
      for (const layer of this.#layers) {
        const { numKvHeads } = layer;
        for (let head = 0; head < numKvHeads; head++) {
          this.#endTail({ layer, slot, head }, past, length);
          for (let token = 0; token < numNewTokens; token++) {
            const key = offset + head * headLength + token * dim;
            const value = key + numKvHeads * headLength;
            const place = { layer, slot, head, position: past + token, length };
            this.#write(place, newKv.subarray(key, key + dim), newKv.subarray(value, value + dim));
          }
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
    const dim = this.#headDim;
    const [key, value] = [new Float32Array(dim), new Float32Array(dim)];
    const [fromLength, toLength] = [fromStart + length, toStart + length];
    for (let head = 0; head < source.numKvHeads; head++) {
      const own = { layer: source, slot: from, head };
      const other = { layer: destination, slot: to, head };
      target.#endTail(other, toStart, toLength);
      for (let i = 0; i < length; i++) {
        this.#read({ ...own, position: fromStart + i, length: fromLength }, key, value);
        target.#write({ ...other, position: toStart + i, length: toLength }, key, value);
      }
    }
  }

  /** Moves a tail's positions to the past where a sequence that grows has them there. */
  #endTail(place: HeadPlace, length: number, newLength: number): void {
    const start = tailStartOf(length);
    if (tailStartOf(newLength) === start) return;
    for (let position = start; position < length; position++) {
      const [key, value] = this.#tailRows({ ...place, position, length });
      this.#write({ ...place, position, length: newLength }, key, value);
    }
  }

  #write(place: Place, key: Float32Array, value: Float32Array): void {
    const { position, length } = place;
    if (position >= tailStartOf(length)) {
      const [keyRow, valueRow] = this.#tailRows(place);
      keyRow.set(key);
      valueRow.set(value);
      return;
    }
    const { layer, slot, head } = place;
    const dim = this.#headDim;
    const headOfAll = slot * layer.numKvHeads + head;
    const keys = layer.keys.data;
    layer.values.data.set(value, (headOfAll * this.capacity + position) * dim);
    for (let d = 0, at = headOfAll * dim * this.capacity + position; d < dim; d++) {
      keys[at] = key[d]!;
      at += this.capacity;
    }
  }

  #read(place: Place, key: Float32Array, value: Float32Array): void {
    const { position, length } = place;
    if (position >= tailStartOf(length)) {
      const [keyRow, valueRow] = this.#tailRows(place);
      key.set(keyRow);
      value.set(valueRow);
      return;
    }
    const { layer, slot, head } = place;
    const dim = this.#headDim;
    const headOfAll = slot * layer.numKvHeads + head;
    const row = (headOfAll * this.capacity + position) * dim;
    value.set(layer.values.data.subarray(row, row + dim));
    for (let d = 0; d < dim; d++) {
      key[d] = layer.keys.data[(headOfAll * dim + d) * this.capacity + position]!;
    }
  }

  /** Key and value of a position that lies in the tail. */
  #tailRows({ layer, slot, head, position, length }: Place): [Float32Array, Float32Array] {
    const { numKvHeads, tail } = layer;
    const dim = this.#headDim;
    const place = position - tailStartOf(length);
    const start = ((slot * 2 * numKvHeads + head) * tailPositions + place) * dim;
    const valueStart = start + numKvHeads * tailPositions * dim;
    return [
      tail.data.subarray(start, start + dim),
      tail.data.subarray(valueStart, valueStart + dim),
    ];
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
