import test from "ava";
import fc from "fast-check";
import { quantize } from "../../../model/weights/quantize.ts";
import { dequantize } from "../../helpers/dequantize.ts";

const blockSize = 32;

const matrix = fc
  .record({
    rows: fc.integer({ min: 1, max: 4 }),
    columns: fc.integer({ min: 1, max: 130 }),
    magnitude: fc.constantFrom(1e-6, 0.02, 1, 1000),
    offset: fc.constantFrom(-1, 0, 0, 1),
    seed: fc.integer(),
  })
  .map(({ rows, columns, magnitude, offset, seed }) => ({
    rows,
    columns,
    values: Float32Array.from(
      { length: rows * columns },
      (_, i) => magnitude * (Math.sin(seed + i * 12.9898) + offset),
    ),
  }));

for (const bits of [8, 4] as const) {
  test(`${bits} bits: each value comes back within half a step of its block's range, padding as 0`, (t) => {
    fc.assert(
      fc.property(matrix, ({ rows, columns, values }) => {
        const quantized = quantize(values, rows, columns, bits);
        const restored = dequantize(quantized, rows);
        const width = restored.length / rows;
        if (width !== Math.ceil(columns / blockSize) * blockSize) return false;
        for (let row = 0; row < rows; row++) {
          for (let start = 0; start < columns; start += blockSize) {
            const end = Math.min(start + blockSize, columns);
            const block = [...values.subarray(row * columns + start, row * columns + end)];
            const low = Math.min(0, ...block);
            const high = Math.max(0, ...block);
            const step = bits === 8 ? Math.max(high, -low) / 127 : (high - low) / 15;
            for (let i = 0; i < blockSize; i++) {
              const error = Math.abs(restored[row * width + start + i]! - (block[i] ?? 0));
              if (error > step * 0.50001) return false;
              if (i >= block.length && error !== 0) return false;
            }
          }
        }
        return true;
      }),
      { numRuns: 300 },
    );
    t.pass();
  });

  test(`${bits} bits: zeros stay exactly zero`, (t) => {
    const values = Float32Array.from({ length: 64 }, (_, i) => (i % 3 === 0 ? 0 : i - 20));
    const restored = dequantize(quantize(values, 2, 32, bits), 2);
    for (const [i, value] of values.entries()) if (value === 0) t.is(restored[i]!, 0);
    t.deepEqual(dequantize(quantize(new Float32Array(40), 1, 40, bits), 1), Array(64).fill(0));
  });
}

test("8 bits: the largest magnitude of a block is 127 steps from 128, whatever its sign", (t) => {
  const values = new Float32Array(32);
  values[3] = -2;
  values[4] = 1;
  const { data, scales, zeroPoints } = quantize(values, 1, 32, 8);
  t.is(data[3], 1);
  t.is(data[4], 192); // 63.5 steps, rounded up
  t.is(scales[0], Math.fround(2 / 127));
  t.is(zeroPoints, null);
});

test("4 bits: two values a byte, the first in the low half, and two zero points a byte", (t) => {
  // Three blocks of whole steps: -7 … 8, 0 … 15 and -15 … 0.
  const values = Float32Array.from({ length: 96 }, (_, i) => (i % 16) - [7, 0, 15][i >> 5]!);
  const { data, scales, zeroPoints } = quantize(values, 1, 96, 4);
  t.deepEqual([...scales], [1, 1, 1]);
  t.deepEqual([...zeroPoints!], [0x07, 0x0f]);
  t.deepEqual([...data.subarray(0, 8)], [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe]);
});

test("a block does not see its neighbours", (t) => {
  const small = Float32Array.from({ length: 32 }, (_, i) => i / 1000);
  for (const bits of [8, 4] as const) {
    const alone = quantize(small, 1, 32, bits);
    const beside = quantize(Float32Array.of(...small, ...small.map((v) => v * 1e6)), 1, 64, bits);
    t.is(beside.scales[0], alone.scales[0]);
    t.deepEqual(beside.data.subarray(0, alone.data.length), alone.data);
  }
});
