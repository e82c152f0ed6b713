import test from "ava";
import fc from "fast-check";
import { ggmlEncodings } from "../../../model/files/gguf-quants.ts";
import { halfValues } from "../../../model/files/float-encodings.ts";
import { halfBits } from "../../helpers/gguf-writer.ts";

/** Value `i` of a block, computed alone and by the definition in ggml's ggml-common.h. */
type ScalarDecoder = (block: Buffer, i: number) => number;

/** By the definition of IEEE 754 binary16. */
function half(block: Buffer, at: number): number {
  const bits = block.readUInt16LE(at);
  const sign = (-1) ** (bits >> 15);
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction) : sign * 2 ** -14 * fraction;
}

/** Nibble `i` of 32 where the low nibbles are the first half. */
const nibble = (block: Buffer, at: number, i: number): number =>
  i < 16 ? block[at + i]! % 16 : Math.floor(block[at + i - 16]! / 16);

const bit = (block: Buffer, at: number, i: number): number =>
  (block[at + Math.floor(i / 8)]! >> (i % 8)) & 1;

/** Scale and minimum of group `j` as `get_scale_min_k4` of ggml-quants.c reads them. */
function scaleAndMin(block: Buffer, j: number): [scale: number, min: number] {
  const q = (k: number): number => block[4 + k]!;
  return j < 4
    ? [q(j) & 63, q(j + 4) & 63]
    : [(q(j + 4) & 15) | ((q(j - 4) >> 6) << 4), (q(j + 4) >> 4) | ((q(j) >> 6) << 4)];
}

function kQuant(block: Buffer, i: number, q: number): number {
  const [scale, min] = scaleAndMin(block, Math.floor(i / 32));
  return half(block, 0) * scale * q - half(block, 2) * min;
}

/** 64 values share 32 bytes: the low nibbles are the first 32. */
const kNibble = (block: Buffer, at: number, i: number): number => {
  const byte = block[at + Math.floor(i / 64) * 32 + (i % 32)]!;
  return i % 64 < 32 ? byte & 15 : byte >> 4;
};

function q6(block: Buffer, i: number): number {
  const part = Math.floor(i / 128); // each 128 values have 64 bytes of nibbles and 32 of upper bits
  const row = Math.floor((i % 128) / 32);
  const column = i % 32;
  const low = block[part * 64 + (row % 2) * 32 + column]!;
  const lower = row < 2 ? low & 15 : low >> 4;
  const upper = (block[128 + part * 32 + column]! >> (2 * row)) & 3;
  const scale = block.readInt8(192 + Math.floor(i / 16));
  return half(block, 208) * scale * (upper * 16 + lower - 32);
}

const scalarDecoders: ReadonlyMap<string, ScalarDecoder> = new Map<string, ScalarDecoder>([
  ["F32", (block) => block.readFloatLE(0)],
  ["F16", (block) => half(block, 0)],
  ["BF16", (block) => Buffer.of(0, 0, block[0]!, block[1]!).readFloatLE(0)],
  ["Q4_0", (block, i) => half(block, 0) * (nibble(block, 2, i) - 8)],
  ["Q4_1", (block, i) => half(block, 0) * nibble(block, 4, i) + half(block, 2)],
  ["Q5_0", (block, i) => half(block, 0) * (nibble(block, 6, i) + 16 * bit(block, 2, i) - 16)],
  [
    "Q5_1",
    (block, i) => half(block, 0) * (nibble(block, 8, i) + 16 * bit(block, 4, i)) + half(block, 2),
  ],
  ["Q8_0", (block, i) => half(block, 0) * block.readInt8(2 + i)],
  ["Q4_K", (block, i) => kQuant(block, i, kNibble(block, 16, i))],
  [
    "Q5_K",
    (block, i) => {
      const fifth = (block[16 + (i % 32)]! >> Math.floor(i / 32)) & 1;
      return kQuant(block, i, kNibble(block, 48, i) + 16 * fifth);
    },
  ],
  ["Q6_K", q6],
]);

test("every encoding has its block size of ggml", (t) => {
  const sizes = [...ggmlEncodings].map(([type, { name, blockValues, blockBytes }]) => [
    type,
    name,
    blockValues,
    blockBytes,
  ]);
  t.deepEqual(sizes, [
    [0, "F32", 1, 4],
    [1, "F16", 1, 2],
    [2, "Q4_0", 32, 18],
    [3, "Q4_1", 32, 20],
    [6, "Q5_0", 32, 22],
    [7, "Q5_1", 32, 24],
    [8, "Q8_0", 32, 34],
    [12, "Q4_K", 256, 144],
    [13, "Q5_K", 256, 176],
    [14, "Q6_K", 256, 210],
    [30, "BF16", 1, 2],
  ]);
});

for (const encoding of ggmlEncodings.values()) {
  const { name, blockValues, blockBytes } = encoding;
  test(`${name} decodes random bytes as its definition says`, (t) => {
    const decodeScalar = scalarDecoders.get(name)!;
    const blocks = fc.uint8Array({ minLength: blockBytes * 3, maxLength: blockBytes * 3 });
    fc.assert(
      fc.property(blocks, (random) => {
        const bytes = Buffer.from(random);
        const decoded = new Float32Array(blockValues * 3);
        encoding.decode(Uint8Array.from(bytes), decoded);
        const wrong = decoded.findIndex((value, i) => {
          const block = bytes.subarray(Math.floor(i / blockValues) * blockBytes);
          return !Object.is(value, Math.fround(decodeScalar(block, i % blockValues)));
        });
        t.is(wrong, -1);
      }),
    );
  });
}

test("half-precision numbers survive the way there and back", (t) => {
  const finite = Array.from({ length: 0x10000 }, (_, bits) => bits).filter(
    (bits) => (bits & 0x7c00) !== 0x7c00,
  );
  t.deepEqual(
    finite.filter((bits) => halfBits(halfValues[bits]!) !== bits),
    [],
  );
  t.is(halfValues[0x3c00], 1);
  t.is(halfValues[0x7bff], 65504);
  t.is(halfValues[0x0001], 2 ** -24);
  t.is(halfValues[0xfc00], -Infinity);
  t.true(Number.isNaN(halfValues[0x7e00]));
});
