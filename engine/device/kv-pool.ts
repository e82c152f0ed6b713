import type { ArenaSpec, KvArena } from "./kv-arena.ts";

/** A sequence's KV in one stage. The pool moves it between arenas and slots. */
export interface KvSlot<Arena extends KvArena = KvArena> {
  readonly arena: Arena;
  readonly index: number;
  /** Positions in use. */
  readonly length: number;
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/**
 * KV memory of one stage. A sequence is prefilled in an arena of its own, or of those it was opened with, and then joins
 * the shared arena of a capacity class, whose sequences decode as one batch. An arena has as many slots as sequences, so
 * that what is allocated is what the sequences' capacities add up to.
 */
export class KvPool<Arena extends KvArena = KvArena> {
  readonly #createArena: (spec: ArenaSpec) => Arena;
  readonly #spec: Pick<ArenaSpec, "layers" | "headDim">;
  readonly #maxSlots: number;
  /** Slot `i` of an arena belongs to the `i`th: no holes. */
  readonly #slots = new Map<KvArena, Mutable<KvSlot<Arena>>[]>();
  /** By capacity. Those without sequences are kept: they take no memory. */
  readonly #shared = new Map<number, Arena>();

  /** @param maxSlots sequences that decode at once */
  constructor(
    createArena: (spec: ArenaSpec) => Arena,
    spec: Pick<ArenaSpec, "layers" | "headDim">,
    maxSlots: number,
  ) {
    this.#createArena = createArena;
    this.#spec = spec;
    this.#maxSlots = maxSlots;
  }

  /** Sequences side by side in an arena of their own. */
  open(numSlots: number, capacity: number): KvSlot<Arena>[] {
    const arena = this.#createArena({ ...this.#spec, capacity, numSlots });
    const slots = Array.from({ length: numSlots }, (_, index) => ({ arena, index, length: 0 }));
    this.#slots.set(arena, [...slots]);
    return slots;
  }

  /** Gives a sequence at least so many positions: in its class where it has joined one, else in an arena of its own. */
  grow(slot: KvSlot<Arena>, capacity: number): void {
    if (capacity <= slot.arena.capacity) return;
    if (this.#isShared(slot.arena)) return this.join(slot, capacity);
    const spec = { ...this.#spec, capacity, numSlots: 0, maxSlots: 1 };
    const arena = this.#createArena(spec);
    this.#slots.set(arena, []);
    this.#move(slot, arena);
  }

  /** Moves a sequence into the shared arena of a class. */
  join(slot: KvSlot<Arena>, capacity: number): void {
    const arena = this.#shared.get(capacity) ?? this.#share(capacity);
    if (arena !== slot.arena) this.#move(slot, arena);
  }

  /** Says how many positions are in use. */
  setLength(slot: KvSlot<Arena>, length: number): void {
    (slot as Mutable<KvSlot<Arena>>).length = length;
  }

  /** May be called twice. */
  release(slot: KvSlot<Arena>): void {
    if (slot.index < 0) return;
    slot.arena.removeSlot(slot.index);
    this.#leave(slot);
    (slot as Mutable<KvSlot<Arena>>).index = -1;
  }

  #isShared(arena: Arena): boolean {
    return this.#shared.get(arena.capacity) === arena;
  }

  #share(capacity: number): Arena {
    const spec = { ...this.#spec, capacity, numSlots: 0, maxSlots: this.#maxSlots };
    const arena = this.#createArena(spec);
    this.#shared.set(capacity, arena);
    this.#slots.set(arena, []);
    return arena;
  }

  #move(slot: KvSlot<Arena>, arena: Arena): void {
    slot.arena.moveSlot(slot.index, arena, slot.length);
    this.#leave(slot);
    const slots = this.#slots.get(arena)!;
    Object.assign(slot, { arena, index: slots.length });
    slots.push(slot);
  }

  /** After the arena let its slot go: the last sequence of the arena is in its place now. */
  #leave({ arena, index }: KvSlot<Arena>): void {
    const slots = this.#slots.get(arena)!;
    const last = slots.pop()!;
    if (last.index !== index) {
      last.index = index;
      slots[index] = last;
    }
    if (slots.length > 0 || this.#isShared(arena)) return;
    this.#slots.delete(arena);
    arena.dispose();
  }
}
