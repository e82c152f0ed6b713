import { blocks4K } from "./file-blocks.ts";
import { halfValues } from "./float-encodings.ts";
import { unpackScales } from "./gguf-k-scales.ts";
import type { TensorEncoding } from "./tensor-encoding.ts";

// Block layouts as in ggml-quants.c. Every block holds 256 values in groups that have small integer
// scales of their own.

const blockValues = 256;

export const q4K: TensorEncoding = {
  name: "Q4_K", // d | dmin | 12 bytes of scales | 128 bytes of nibbles
  blockValues,
  blockBytes: 144,
  numbers: { sizeBytes: 2, offsets: [0, 2] },
  blocks: blocks4K,
  decode(bytes, out) {
    const scales = new Uint8Array(8);
    const mins = new Uint8Array(8);
    for (let o = 0, b = 0; o < out.length; o += 256, b += 144) {
      const d = halfValues[bytes[b]! | (bytes[b + 1]! << 8)]!;
      const dmin = halfValues[bytes[b + 2]! | (bytes[b + 3]! << 8)]!;
      unpackScales(bytes, b + 4, scales, mins);
      // 32 bytes hold two groups: the low nibbles one, the high nibbles the next.
      for (let group = 0; group < 8; group += 2) {
        const lowScale = d * scales[group]!;
        const lowMin = dmin * mins[group]!;
        const highScale = d * scales[group + 1]!;
        const highMin = dmin * mins[group + 1]!;
        const from = b + 16 + group * 16;
        const to = o + group * 32;
        for (let i = 0; i < 32; i++) {
          const pair = bytes[from + i]!;
          out[to + i] = lowScale * (pair & 15) - lowMin;
          out[to + 32 + i] = highScale * (pair >> 4) - highMin;
        }
      }
    }
  },
};

export const q5K: TensorEncoding = {
  name: "Q5_K", // d | dmin | 12 bytes of scales | 32 bytes of fifth bits | 128 bytes of nibbles
  blockValues,
  blockBytes: 176,
  numbers: { sizeBytes: 2, offsets: [0, 2] },
  decode(bytes, out) {
    const scales = new Uint8Array(8);
    const mins = new Uint8Array(8);
    for (let o = 0, b = 0; o < out.length; o += 256, b += 176) {
      const d = halfValues[bytes[b]! | (bytes[b + 1]! << 8)]!;
      const dmin = halfValues[bytes[b + 2]! | (bytes[b + 3]! << 8)]!;
      unpackScales(bytes, b + 4, scales, mins);
      for (let group = 0; group < 8; group += 2) {
        const lowScale = d * scales[group]!;
        const lowMin = dmin * mins[group]!;
        const highScale = d * scales[group + 1]!;
        const highMin = dmin * mins[group + 1]!;
        const from = b + 48 + group * 16;
        const to = o + group * 32;
        for (let i = 0; i < 32; i++) {
          const pair = bytes[from + i]!;
          const fifth = bytes[b + 16 + i]! >> group; // bit g of byte i belongs to value i of group g
          out[to + i] = lowScale * ((pair & 15) | ((fifth & 1) << 4)) - lowMin;
          out[to + 32 + i] = highScale * ((pair >> 4) | ((fifth & 2) << 3)) - highMin;
        }
      }
    }
  },
};

export const q6K: TensorEncoding = {
  name: "Q6_K", // 128 bytes of low nibbles | 64 bytes of upper bit pairs | 16 signed scales | d
  blockValues,
  blockBytes: 210,
  numbers: { sizeBytes: 2, offsets: [208] },
  decode(bytes, out) {
    const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let o = 0, b = 0; o < out.length; o += 256, b += 210) {
      const d = halfValues[bytes[b + 208]! | (bytes[b + 209]! << 8)]!;
      for (let half = 0; half < 2; half++) {
        const nibbles = b + half * 64;
        const uppers = b + 128 + half * 32;
        const scales = b + 192 + half * 8; // one for each 16 values
        const to = o + half * 128;
        for (let i = 0; i < 32; i++) {
          const scale = scales + (i >> 4);
          const first = bytes[nibbles + i]!;
          const second = bytes[nibbles + 32 + i]!;
          const upper = bytes[uppers + i]!;
          out[to + i] = d * signed[scale]! * (((first & 15) | ((upper & 3) << 4)) - 32);
          out[to + 32 + i] = d * signed[scale + 2]! * (((second & 15) | ((upper & 12) << 2)) - 32);
          out[to + 64 + i] = d * signed[scale + 4]! * (((first >> 4) | (upper & 48)) - 32);
          out[to + 96 + i] = d * signed[scale + 6]! * (((second >> 4) | ((upper & 192) >> 2)) - 32);
        }
      }
    }
  },
};
