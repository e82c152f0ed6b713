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
  const slotBytes = 64 * 2 * 2 * 2 * 16 * 4;
  t.is(arena.sizeBytes, 2 * slotBytes);
  t.is(kvBytes, 2 * slotBytes);
  const other = new CpuArena({ ...spec, capacity: 128, numSlots: 0, maxSlots: 5 }, count);
  t.is(kvBytes, 2 * slotBytes);
  arena.moveSlot(0, other, 3);
  t.deepEqual([arena.numSlots, other.numSlots], [1, 1]);
  t.deepEqual([arena.sizeBytes, other.sizeBytes], [slotBytes, 2 * slotBytes]);
  t.is(kvBytes, 3 * slotBytes);
  other.removeSlot(0);
  arena.dispose();
  arena.dispose();
  t.is(kvBytes, 0);
});

test("a moved slot holds the positions asked for and nothing else, and the last one takes its place", (t) => {
  const spec = { layers: [shape(0, 0, 32), shape(4, 2, 32)], headDim: 2 };
  const source = new CpuArena({ ...spec, capacity: 64, numSlots: 3 }, () => undefined);
  const target = new CpuArena(
    { ...spec, capacity: 128, numSlots: 2, maxSlots: 3 },
    () => undefined,
  );
  const ramp = (sign: number) => Float32Array.from({ length: 2 * 3 * 2 }, (_, i) => sign * (i + 1));
  source.append(ramp(1), ramp(-1), 1, [0], 3);
  source.append(ramp(100), ramp(-100), 2, [0], 3);
  // What had been in the memory that a new slot gets.
  target.append(new Float32Array(80).fill(NaN), new Float32Array(80).fill(NaN), 1, [0], 20);
  target.removeSlot(1);
  source.moveSlot(1, target, 2);
  t.deepEqual([source.numSlots, target.numSlots], [2, 2]);
  const nonZero = (arena: CpuArena, name: string) => {
    const feeds = arena.feeds(1, 1, false);
    t.deepEqual(Object.keys(feeds), ["past_k.1", "past_v.1"]);
    return [...(feeds[name]!.data as Float32Array).filter((value) => value !== 0)];
  };
  // [kvHeads, headDim, positions] and [kvHeads, positions, headDim]
  t.deepEqual(nonZero(target, "past_k.1"), [1, 3, 2, 4, 7, 9, 8, 10]);
  t.deepEqual(nonZero(target, "past_v.1"), [-1, -2, -3, -4, -7, -8, -9, -10]);
  t.deepEqual(nonZero(source, "past_v.1"), [...ramp(-100)]);
});

test("a copied range lands where it is to, and nothing else changes", (t) => {
  const layers = [
    { numHeads: 2, numKvHeads: 1, intermediateSize: 4 },
    { numHeads: 0, numKvHeads: 0, intermediateSize: 4 },
    { numHeads: 4, numKvHeads: 2, intermediateSize: 4 },
  ];
  const arenaOf = (capacity: number) => {
    return new CpuArena({ layers, headDim: 2, capacity, numSlots: 2 }, () => undefined);
  };
  const [source, target] = [arenaOf(64), arenaOf(128)];
  const ramp = (sign: number) => Float32Array.from({ length: 3 * 5 * 2 }, (_, i) => sign * (i + 1));
  source.append(ramp(1), ramp(-1), 1, [0], 5);
  // Positions 1 and 2 of slot 1, to 7 and 8 of slot 0: as if they had been appended there.
  source.copyRange({ from: 1, fromStart: 1, target, to: 0, toStart: 7, length: 2 });
  const expected = arenaOf(128);
  const part = (sign: number) =>
    Float32Array.from(
      [0, 1, 2].flatMap((head) => [2, 3, 4, 5].map((i) => sign * (head * 10 + i + 1))),
    );
  expected.append(part(1), part(-1), 0, [7], 2);
  for (const slot of [0, 1]) {
    const [own, wanted] = [target.feeds(slot, 1, false), expected.feeds(slot, 1, false)];
    for (const name of Object.keys(wanted)) t.deepEqual(own[name]!.data, wanted[name]!.data, name);
  }
  for (const arena of [source, target, expected]) arena.dispose();
});
