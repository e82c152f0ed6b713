import test from "ava";

import { CpuArena } from "../../../engine/device/cpu-arena.ts";
import type { LayerShape } from "../../../model/weights/layer-spec.ts";

const shape = (numHeads: number, numKvHeads: number, intermediateSize: number): LayerShape => ({
  numHeads,
  numKvHeads,
  intermediateSize,
});

test("an arena tells of every change of its bytes", (t) => {
  let kvBytes = 0;
  const count = (deltaBytes: number) => (kvBytes += deltaBytes);
  const spec = { layers: [shape(4, 2, 32), shape(4, 2, 32)], headDim: 16, capacity: 64 };
  const arena = new CpuArena({ ...spec, numSlots: 2 }, count);
  // 2 layers of 2 KV heads, keys and values
  const slotBytes = (64 + 32) * 2 * 2 * 2 * 16 * 4;
  t.is(arena.sizeBytes, 2 * slotBytes);
  t.is(kvBytes, 2 * slotBytes);
  const other = new CpuArena({ ...spec, capacity: 128, numSlots: 0, maxSlots: 5 }, count);
  t.is(kvBytes, 2 * slotBytes);
  arena.moveSlot(0, other, 3);
  t.deepEqual([arena.numSlots, other.numSlots], [1, 1]);
  const largerBytes = (128 + 32) * 2 * 2 * 2 * 16 * 4;
  t.deepEqual([arena.sizeBytes, other.sizeBytes], [slotBytes, largerBytes]);
  t.is(kvBytes, slotBytes + largerBytes);
  other.removeSlot(0);
  arena.dispose();
  arena.dispose();
  t.is(kvBytes, 0);
});

interface Fed {
  readonly layer: number;
  /** Positions that the sequence has. */
  readonly length: number;
  /** Positions to look at. @default all */
  readonly end?: number;
}

/** Keys and values as a layer is fed them, by position: `[position][head * headDim + d]` of each, zeros left out. */
function fed(arena: CpuArena, slot: number, { layer, length, end = arena.capacity }: Fed) {
  const feeds = arena.feeds({
    ...{ firstSlot: slot, numSequences: 1, pastLengths: [length] },
    ...{ withPast: true, tailLength: 32 },
  });
  const read = (name: string) => feeds[`${name}.${layer}`]!.data as Float32Array;
  const [, kvHeads, , , dim] = feeds[`past_k.${layer}`]!.dims as number[];
  const tailStart = length - (length % 32);
  const all = (name: "k" | "v") => {
    const half = feeds[`tail.${layer}`]!.data.length / 2;
    const tails = feeds[`tail.${layer}`]!.data as Float32Array;
    const [past, tail] = [read(`past_${name}`), name === "k" ? tails : tails.subarray(half)];
    const rows: number[][] = [];
    for (let position = 0; position < end; position++) {
      const row: number[] = [];
      for (let head = 0; head < kvHeads!; head++) {
        for (let d = 0; d < dim!; d++) {
          const isTail = position >= tailStart;
          if (isTail && position >= tailStart + 32) continue;
          row.push(
            isTail
              ? tail[(head * 32 + position - tailStart) * dim! + d]!
              : name === "k"
                ? past[(head * dim! + d) * arena.capacity + position]!
                : past[(head * arena.capacity + position) * dim! + d]!,
          );
        }
      }
      if (row.some((value) => value !== 0)) rows.push(row);
    }
    return rows;
  };
  return { keys: all("k"), values: all("v") };
}

/** As a graph gives them, of one layer. */
function joined(keys: Float32Array, values: Float32Array): Float32Array {
  return Float32Array.of(...keys, ...values);
}

/** Of two KV heads with two numbers each, `[2, length, 2]`, and the rows that they are by position. */
function ramp(length: number, sign: number) {
  const values = Float32Array.from({ length: 2 * length * 2 }, (_, i) => sign * (i + 1));
  const rows = Array.from({ length }, (_, position) =>
    [0, 1].flatMap((head) => [0, 1].map((d) => sign * ((head * length + position) * 2 + d + 1))),
  );
  return { values, rows };
}

const twoLayers = { layers: [shape(0, 0, 32), shape(4, 2, 32)], headDim: 2 };

test("a moved slot holds the positions asked for and nothing else, and the last one takes its place", (t) => {
  const source = new CpuArena({ ...twoLayers, capacity: 64, numSlots: 3 }, () => undefined);
  const target = new CpuArena(
    { ...twoLayers, capacity: 128, numSlots: 2, maxSlots: 3 },
    () => undefined,
  );
  const [keys, values, others] = [ramp(35, 1), ramp(35, -1), ramp(35, 100)];
  source.append(joined(keys.values, values.values), 1, [0], 35);
  source.append(joined(others.values, others.values), 2, [0], 35);
  // What had been in the memory that a new slot gets.
  const nothing = new Float32Array(2 * 4 * 40).fill(NaN);
  target.append(nothing, 1, [0], 40);
  target.removeSlot(1);
  source.moveSlot(1, target, 34);
  t.deepEqual([source.numSlots, target.numSlots], [2, 2]);
  t.deepEqual(fed(target, 1, { layer: 1, length: 34 }), {
    keys: keys.rows.slice(0, 34),
    values: values.rows.slice(0, 34),
  });
  t.deepEqual(fed(source, 1, { layer: 1, length: 35 }).values, others.rows);
});

test("positions are the same however many were appended at once", (t) => {
  const [keys, values] = [ramp(70, 1), ramp(70, -1)];
  for (const step of [1, 3, 31, 32, 33, 64, 70]) {
    const arena = new CpuArena({ ...twoLayers, capacity: 128, numSlots: 1 }, () => undefined);
    for (let past = 0; past < 70; past += step) {
      const count = Math.min(step, 70 - past);
      const part = (all: Float32Array) =>
        Float32Array.from(
          [0, 1].flatMap((head) => [
            ...all.subarray((head * 70 + past) * 2, (head * 70 + past + count) * 2),
          ]),
        );
      arena.append(joined(part(keys.values), part(values.values)), 0, [past], count);
    }
    const wanted = { keys: keys.rows, values: values.rows };
    t.deepEqual(fed(arena, 0, { layer: 1, length: 70, end: 70 }), wanted, `${step} at once`);
    arena.dispose();
  }
});

test("a tail with room for more new tokens holds what the short one does", (t) => {
  const arena = new CpuArena({ ...twoLayers, capacity: 64, numSlots: 2 }, () => undefined);
  arena.append(joined(ramp(3, 1).values, ramp(3, -1).values), 1, [0], 3);
  const feeds = arena.feeds({
    ...{ firstSlot: 0, numSequences: 2, pastLengths: [0, 3] },
    ...{ withPast: false, tailLength: 64 },
  });
  t.deepEqual(feeds["tail.1"]!.dims, [2, 4, 1, 1, 64, 2]);
  const tail = feeds["tail.1"]!.data as Float32Array;
  const rowsOf = (head: number) => [...tail.subarray(head * 64 * 2, head * 64 * 2 + 8)];
  t.deepEqual([4, 5, 6].map(rowsOf), [
    [1, 2, 3, 4, 5, 6, 0, 0],
    [7, 8, 9, 10, 11, 12, 0, 0],
    [-1, -2, -3, -4, -5, -6, 0, 0],
  ]);
  t.is(feeds["past_k.1"]!.data.length, 0);
});

test("a copied range lands where it is to, and nothing else changes", (t) => {
  const arenaOf = (capacity: number) =>
    new CpuArena({ ...twoLayers, capacity, numSlots: 2 }, () => undefined);
  const [keys, values, before] = [ramp(64, 1), ramp(64, -1), ramp(40, 1000)];
  // Aligned, then across the tails of both.
  for (const [fromStart, toStart, length] of [
    [32, 0, 32],
    [5, 40, 20],
    [1, 7, 2],
    [20, 31, 44],
  ] as const) {
    const [source, target] = [arenaOf(64), arenaOf(128)];
    const end = fromStart + length;
    const part = (all: Float32Array, size: number, total: number) =>
      Float32Array.from(
        [0, 1].flatMap((head) => [...all.subarray(head * total * 2, (head * total + size) * 2)]),
      );
    source.append(joined(part(keys.values, end, 64), part(values.values, end, 64)), 1, [0], end);
    const first = part(before.values, toStart, 40);
    if (toStart > 0) target.append(joined(first, first), 0, [0], toStart);
    source.copyRange({ from: 1, fromStart, target, to: 0, toStart, length });
    const rowsBefore = before.rows.slice(0, toStart);
    const newLength = toStart + length;
    t.deepEqual(fed(target, 0, { layer: 1, length: newLength, end: newLength }), {
      keys: [...rowsBefore, ...keys.rows.slice(fromStart, end)],
      values: [...rowsBefore, ...values.rows.slice(fromStart, end)],
    });
    t.deepEqual(fed(target, 1, { layer: 1, length: 0 }).keys, []);
    for (const arena of [source, target]) arena.dispose();
  }
});
