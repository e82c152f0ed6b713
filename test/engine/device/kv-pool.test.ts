import test from "ava";
import fc from "fast-check";
import type { ArenaSpec, KvArena } from "../../../engine/device/kv-arena.ts";
import { KvPool } from "../../../engine/device/kv-pool.ts";
import type { KvSlot } from "../../../engine/device/kv-pool.ts";

/** KV memory whose positions are numbers; anything out of bounds is an error. */
class NumberArena implements KvArena {
  readonly capacity: number;
  readonly #arenas: Set<NumberArena>;
  readonly maxSlots: number;
  readonly slots: Int32Array[];

  constructor(spec: ArenaSpec, arenas: Set<NumberArena>) {
    const { capacity, numSlots, maxSlots = numSlots } = spec;
    this.capacity = capacity;
    this.maxSlots = maxSlots;
    this.slots = Array.from({ length: numSlots }, () => new Int32Array(capacity));
    this.#arenas = arenas;
    arenas.add(this);
  }

  get numSlots(): number {
    return this.slots.length;
  }

  get sizeBytes(): number {
    return this.slots.length * this.capacity * 4;
  }

  moveSlot(from: number, target: NumberArena, length: number): void {
    if (from >= this.numSlots) throw new Error("no such slot");
    if (length > target.capacity) throw new Error("does not fit");
    if (target.numSlots === target.maxSlots) throw new Error("more slots than were reserved");
    const moved = new Int32Array(target.capacity);
    moved.set(this.slots[from]!.subarray(0, length));
    target.slots.push(moved);
    this.removeSlot(from);
  }

  removeSlot(slot: number): void {
    const last = this.slots.pop()!;
    if (slot < this.slots.length) this.slots[slot] = last;
  }

  copyRange(): void {
    throw new Error("not needed here");
  }

  dispose(): void {
    this.#arenas.delete(this);
  }
}

const names = new WeakMap<KvSlot, number>();

/** Opens a sequence that is called by a number. */
function open(pool: KvPool, name: number, capacity: number): KvSlot {
  const [slot] = pool.open(1, capacity);
  names.set(slot!, name);
  return slot!;
}

function createPool(maxSlots = 150) {
  const arenas = new Set<NumberArena>();
  const createArena = (spec: ArenaSpec) => new NumberArena(spec, arenas);
  return { arenas, pool: new KvPool<KvArena>(createArena, { layers: [], headDim: 1 }, maxSlots) };
}

/** The sequences of each arena that is among them, in the order of their slots. */
function groupsOf(slots: readonly KvSlot[]) {
  return [...new Set(slots.map(({ arena }) => arena))].map((arena) => ({
    arena,
    slots: slots.filter((slot) => slot.arena === arena).sort((a, b) => a.index - b.index),
  }));
}

/** Writes the owner's next positions, as a forward pass would. */
function write(pool: KvPool, slot: KvSlot, numTokens: number): void {
  const { slots } = slot.arena as NumberArena;
  for (let i = 0; i < numTokens; i++) {
    slots[slot.index]![slot.length + i] = names.get(slot)! * 1000 + slot.length + i;
  }
  pool.setLength(slot, slot.length + numTokens);
}

function holdsItsOwn(slot: KvSlot): boolean {
  const { arena, index, length } = slot;
  const content = (arena as NumberArena).slots[index]!.subarray(0, length);
  return content.every((value, position) => value === names.get(slot)! * 1000 + position);
}

type Command = readonly ["open" | "grow" | "join" | "write" | "release", which: number, n: number];

const command: fc.Arbitrary<Command> = fc.tuple(
  fc.constantFrom("open", "grow", "join", "join", "write", "write", "release"),
  fc.nat(),
  fc.constantFrom(4, 8, 16),
);

test("sequences keep their KV wherever the pool moves them, without holes, leaks or shared slots", (t) => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 150 }), (commands) => {
      const { arenas, pool } = createPool();
      const live: KvSlot[] = [];
      const joined = new Set<KvSlot>();
      let numOpened = 0;
      for (const [type, which, n] of commands) {
        const slot = live[which % Math.max(1, live.length)];
        if (type === "open") {
          live.push(open(pool, ++numOpened, n));
        } else if (!slot) {
          continue;
        } else if (type === "grow" && !joined.has(slot)) {
          pool.grow(slot, n);
        } else if (type === "join" && n >= slot.length) {
          pool.join(slot, n);
          joined.add(slot);
        } else if (type === "write" && slot.length < slot.arena.capacity) {
          write(pool, slot, 1);
        } else if (type === "release") {
          pool.release(slot);
          pool.release(slot);
          live.splice(live.indexOf(slot), 1);
          joined.delete(slot);
        }
        if (!live.every(holdsItsOwn)) return false;
        const grouped = groupsOf([...joined]);
        for (const { arena, slots } of grouped) {
          if (!slots.every((s, index) => s.arena === arena && s.index === index)) return false;
          if (arena.numSlots !== slots.length) return false;
        }
        if (grouped.reduce((sum, { slots }) => sum + slots.length, 0) !== joined.size) return false;
        const own = live.filter((one) => !joined.has(one));
        const used = [...arenas].filter(({ numSlots }) => numSlots > 0);
        if (used.length !== grouped.length + own.length) return false;
        const capacities = live.reduce((sum, { arena }) => sum + arena.capacity, 0);
        if (used.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) !== 4 * capacities)
          return false;
      }
      for (const slot of live) pool.release(slot);
      return [...arenas].every(({ numSlots }) => numSlots === 0);
    }),
    { numRuns: 300 },
  );
  t.pass();
});

test("a sequence prefills in an arena of its own and grows there", (t) => {
  const { pool, arenas } = createPool();
  const slot = open(pool, 1, 4);
  write(pool, slot, 4);
  pool.grow(slot, 4);
  t.is(slot.arena.capacity, 4);
  pool.grow(slot, 8);
  t.is(slot.arena.capacity, 8);
  t.true(holdsItsOwn(slot));
  t.is(arenas.size, 1);
});

test("the last sequence of an arena takes the place of one that leaves", (t) => {
  const { pool } = createPool();
  const slots = [1, 2, 3].map((name) => {
    const slot = open(pool, name, 4);
    write(pool, slot, name);
    pool.join(slot, 8);
    return slot;
  });
  pool.release(slots[0]!);
  const [group] = groupsOf(slots.slice(1));
  t.deepEqual(
    group!.slots.map((slot) => [names.get(slot), slot.index]),
    [
      [3, 0],
      [2, 1],
    ],
  );
  t.true(slots.slice(1).every(holdsItsOwn));
});

test("an arena has the slots of its sequences, and gives memory back as soon as one leaves", (t) => {
  const { pool } = createPool();
  const slots = Array.from({ length: 8 }, (_, name) => {
    const slot = open(pool, name, 4);
    pool.join(slot, 4);
    return slot;
  });
  const { arena } = slots[0]!;
  for (const [i, slot] of slots.entries()) {
    t.is(arena.numSlots, 8 - i);
    pool.release(slot);
  }
  t.is(arena.numSlots, 0);
});

test("sequences that are opened together lie side by side, until one grows or joins others", (t) => {
  const { pool, arenas } = createPool();
  const slots = pool.open(3, 4);
  for (const [i, slot] of slots.entries()) names.set(slot, i + 1);
  t.deepEqual(
    slots.map(({ index }) => index),
    [0, 1, 2],
  );
  t.is(arenas.size, 1);
  for (const slot of slots) write(pool, slot, 3);
  pool.grow(slots[0]!, 8);
  t.deepEqual(
    slots.map(({ index, arena }) => [index, arena.capacity]),
    [
      [0, 8],
      [1, 4],
      [0, 4],
    ],
  );
  t.true(slots.every(holdsItsOwn));
  pool.join(slots[1]!, 8);
  pool.release(slots[2]!);
  t.is([...arenas].filter(({ numSlots }) => numSlots > 0).length, 2);
  t.true(slots.slice(0, 2).every(holdsItsOwn));
});
