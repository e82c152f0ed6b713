import type { ArenaSpec, Device, KvArena } from "./device.ts";

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
 * arena of a capacity class, whose sequences decode as one batch. An arena has as many slots as sequences, so that what
 * is allocated is what the sequences' capacities add up to.
 */
export class KvPool<Owner> {
  readonly #device: Device;
  readonly #spec: Pick<ArenaSpec, "layers" | "headDim">;
  readonly #maxSlots: number;
  /** By capacity. Those without sequences are kept: they take no memory. */
  readonly #shared = new Map<number, SharedArena<Owner>>();

  /** @param maxSlots sequences that decode at once */
  constructor(device: Device, spec: Pick<ArenaSpec, "layers" | "headDim">, maxSlots: number) {
    this.#device = device;
    this.#spec = spec;
    this.#maxSlots = maxSlots;
  }

  /** The shared arenas with their sequences in slot order. */
  *groups(): Generator<{ arena: KvArena; slots: readonly KvSlot<Owner>[] }> {
    for (const group of this.#shared.values()) if (group.slots.length > 0) yield group;
  }

  open(owner: Owner, capacity: number): KvSlot<Owner> {
    const arena = this.#device.createArena({ ...this.#spec, capacity, numSlots: 1 });
    return { owner, arena, index: 0, length: 0 };
  }

  /** Enlarges the arena of a sequence that is being prefilled. */
  grow(slot: KvSlot<Owner>, capacity: number): void {
    if (capacity <= slot.arena.capacity) return;
    const spec = { ...this.#spec, capacity, numSlots: 0, maxSlots: 1 };
    this.#move(slot, this.#device.createArena(spec), 0);
  }

  /** Moves a sequence into the shared arena of a class. */
  join(slot: KvSlot<Owner>, capacity: number): void {
    const { arena, slots } = this.#shared.get(capacity) ?? this.#share(capacity);
    if (arena === slot.arena) return;
    this.#move(slot, arena, slots.length);
    slots.push(slot);
  }

  /** Counts the positions that a forward pass has added. */
  advance(slot: KvSlot<Owner>, numTokens: number): void {
    (slot as MutableSlot<Owner>).length += numTokens;
  }

  /** May be called twice. */
  release(slot: KvSlot<Owner>): void {
    if (slot.index < 0) return;
    slot.arena.removeSlot(slot.index);
    this.#leave(slot);
    (slot as MutableSlot<Owner>).index = -1;
  }

  #share(capacity: number): SharedArena<Owner> {
    const spec = { ...this.#spec, capacity, numSlots: 0, maxSlots: this.#maxSlots };
    const shared = { arena: this.#device.createArena(spec), slots: [] };
    this.#shared.set(capacity, shared);
    return shared;
  }

  #move(slot: KvSlot<Owner>, arena: KvArena, index: number): void {
    slot.arena.moveSlot(slot.index, arena, slot.length);
    this.#leave(slot);
    Object.assign(slot, { arena, index });
  }

  /** After the arena let its slot go: the last sequence of the arena is in its place now. */
  #leave({ arena, index }: KvSlot<Owner>): void {
    const shared = this.#shared.get(arena.capacity);
    if (shared?.arena !== arena) {
      arena.dispose();
      return;
    }
    const last = shared.slots.pop()!;
    if (last.index === index) return;
    last.index = index;
    shared.slots[index] = last;
  }
}
