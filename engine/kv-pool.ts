import type { LayerShape } from "../model/stage-graph.ts";
import type { Device, KvArena } from "./device.ts";

/** A sequence's KV in one stage. The pool moves it between arenas and slots. */
export interface KvSlot<Owner> {
  readonly owner: Owner;
  readonly arena: KvArena;
  readonly index: number;
  /** Positions in use. */
  readonly length: number;
}

type MutableSlot<Owner> = { -readonly [Key in keyof KvSlot<Owner>]: KvSlot<Owner>[Key] };

interface SharedArena<Owner> {
  readonly arena: KvArena;
  /** Slot `i` of the arena belongs to `slots[i]`: no holes. */
  readonly slots: MutableSlot<Owner>[];
}

/**
 * KV memory of one stage. A sequence is prefilled in an arena of its own and then joins the shared
 * arena of a capacity class, whose sequences decode as one batch.
 */
export class KvPool<Owner> {
  readonly #device: Device;
  readonly #layers: readonly LayerShape[];
  readonly #headDim: number;
  readonly #shared = new Map<number, SharedArena<Owner>>();

  constructor(device: Device, layers: readonly LayerShape[], headDim: number) {
    this.#device = device;
    this.#layers = layers;
    this.#headDim = headDim;
  }

  /** The shared arenas with their sequences in slot order. */
  *groups(): Generator<{ arena: KvArena; slots: readonly KvSlot<Owner>[] }> {
    yield* this.#shared.values();
  }

  open(owner: Owner, capacity: number): KvSlot<Owner> {
    return { owner, arena: this.#createArena(capacity), index: 0, length: 0 };
  }

  /** Enlarges the arena of a sequence that is being prefilled. */
  grow(slot: KvSlot<Owner>, capacity: number): void {
    if (capacity <= slot.arena.capacity) return;
    const target = this.#createArena(capacity);
    slot.arena.copySlot(slot.index, target, 0, slot.length);
    this.#leave(slot);
    this.#place(slot, target, 0);
  }

  /** Moves a sequence into the shared arena of a class. */
  join(slot: KvSlot<Owner>, capacity: number): void {
    let shared = this.#shared.get(capacity);
    if (shared?.arena === slot.arena) return;
    if (!shared) {
      shared = { arena: this.#createArena(capacity), slots: [] };
      this.#shared.set(capacity, shared);
    }
    const { arena, slots } = shared;
    const index = slots.length;
    if (index === arena.numSlots) arena.resize(2 * index);
    slot.arena.copySlot(slot.index, arena, index, slot.length);
    this.#leave(slot);
    slots.push(slot);
    this.#place(slot, arena, index);
  }

  /** Counts the positions that a forward pass has added. */
  advance(slot: KvSlot<Owner>, numTokens: number): void {
    (slot as MutableSlot<Owner>).length += numTokens;
  }

  /** May be called twice. */
  release(slot: KvSlot<Owner>): void {
    if (slot.index < 0) return;
    this.#leave(slot);
    this.#place(slot, slot.arena, -1);
  }

  #createArena(capacity: number): KvArena {
    const [layers, headDim] = [this.#layers, this.#headDim];
    return this.#device.createArena({ layers, headDim, capacity, numSlots: 1 });
  }

  #place(slot: KvSlot<Owner>, arena: KvArena, index: number): void {
    Object.assign(slot, { arena, index });
  }

  /** Fills the hole with the last sequence of the arena; gives memory back when most of it is unused. */
  #leave(slot: KvSlot<Owner>): void {
    const { arena, index } = slot;
    const shared = this.#shared.get(arena.capacity);
    if (shared?.arena !== arena) {
      arena.dispose();
      return;
    }
    const { slots } = shared;
    const last = slots.pop()!;
    if (last !== slot) {
      arena.copySlot(last.index, arena, index, last.length);
      last.index = index;
      slots[index] = last;
    }
    if (slots.length === 0) {
      arena.dispose();
      this.#shared.delete(arena.capacity);
    } else if (slots.length <= arena.numSlots / 4) {
      arena.resize(arena.numSlots / 2);
    }
  }
}
