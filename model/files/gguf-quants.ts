import { blocks4_0, blocks4_1, blocks8_0 } from "./file-blocks.ts";
import { float16, float32, bfloat16, halfValues } from "./float-encodings.ts";
import { q4K, q5K, q6K } from "./gguf-k-quants.ts";
import type { TensorEncoding } from "./tensor-encoding.ts";

// Block layouts as in ggml-quants.c. Every block of these formats holds 32 values; `d` is the scale
// and `m` the minimum of a block, both half precision. Low nibbles are the first 16 values.

const blockValues = 32;

const q4_0: TensorEncoding = {
  name: "Q4_0", // d | 16 bytes of nibbles
  blockValues,
  blockBytes: 18,
  numbers: { sizeBytes: 2, offsets: [0] },
  blocks: blocks4_0,
  decode(bytes, out) {
    for (let o = 0, b = 0; o < out.length; o += 32, b += 18) {
      const d = halfValues[bytes[b]! | (bytes[b + 1]! << 8)]!;
      for (let i = 0; i < 16; i++) {
        const pair = bytes[b + 2 + i]!;
        out[o + i] = d * ((pair & 15) - 8);
        out[o + 16 + i] = d * ((pair >> 4) - 8);
      }
    }
  },
};

const q4_1: TensorEncoding = {
  name: "Q4_1", // d | m | 16 bytes of nibbles
  blockValues,
  blockBytes: 20,
  numbers: { sizeBytes: 2, offsets: [0, 2] },
  blocks: blocks4_1,
  decode(bytes, out) {
    for (let o = 0, b = 0; o < out.length; o += 32, b += 20) {
      const d = halfValues[bytes[b]! | (bytes[b + 1]! << 8)]!;
      const m = halfValues[bytes[b + 2]! | (bytes[b + 3]! << 8)]!;
      for (let i = 0; i < 16; i++) {
        const pair = bytes[b + 4 + i]!;
        out[o + i] = d * (pair & 15) + m;
        out[o + 16 + i] = d * (pair >> 4) + m;
      }
    }
  },
};

const q5_0: TensorEncoding = {
  name: "Q5_0", // d | 32 fifth bits | 16 bytes of nibbles
  blockValues,
  blockBytes: 22,
  numbers: { sizeBytes: 2, offsets: [0] },
  decode(bytes, out) {
    for (let o = 0, b = 0; o < out.length; o += 32, b += 22) {
      const d = halfValues[bytes[b]! | (bytes[b + 1]! << 8)]!;
      const low = bytes[b + 2]! | (bytes[b + 3]! << 8); // fifth bits of values 0 to 15
      const high = bytes[b + 4]! | (bytes[b + 5]! << 8); // and 16 to 31
      for (let i = 0; i < 16; i++) {
        const pair = bytes[b + 6 + i]!;
        out[o + i] = d * (((pair & 15) | (((low >> i) & 1) << 4)) - 16);
        out[o + 16 + i] = d * (((pair >> 4) | (((high >> i) & 1) << 4)) - 16);
      }
    }
  },
};

const q5_1: TensorEncoding = {
  name: "Q5_1", // d | m | 32 fifth bits | 16 bytes of nibbles
  blockValues,
  blockBytes: 24,
  numbers: { sizeBytes: 2, offsets: [0, 2] },
  decode(bytes, out) {
    for (let o = 0, b = 0; o < out.length; o += 32, b += 24) {
      const d = halfValues[bytes[b]! | (bytes[b + 1]! << 8)]!;
      const m = halfValues[bytes[b + 2]! | (bytes[b + 3]! << 8)]!;
      const low = bytes[b + 4]! | (bytes[b + 5]! << 8);
      const high = bytes[b + 6]! | (bytes[b + 7]! << 8);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[b + 8 + i]!;
        out[o + i] = d * ((pair & 15) | (((low >> i) & 1) << 4)) + m;
        out[o + 16 + i] = d * ((pair >> 4) | (((high >> i) & 1) << 4)) + m;
      }
    }
  },
};

const q8_0: TensorEncoding = {
  name: "Q8_0", // d | 32 signed bytes
  blockValues,
  blockBytes: 34,
  numbers: { sizeBytes: 2, offsets: [0] },
  blocks: blocks8_0,
  decode(bytes, out) {
    const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let o = 0, b = 0; o < out.length; o += 32, b += 34) {
      const d = halfValues[bytes[b]! | (bytes[b + 1]! << 8)]!;
      for (let i = 0; i < 32; i++) out[o + i] = d * signed[b + 2 + i]!;
    }
  },
};

/** Encodings by the number of `ggml_type`. */
export const ggmlEncodings: ReadonlyMap<number, TensorEncoding> = new Map([
  [0, float32],
  [1, float16],
  [2, q4_0],
  [3, q4_1],
  [6, q5_0],
  [7, q5_1],
  [8, q8_0],
  [12, q4K],
  [13, q5K],
  [14, q6K],
  [30, bfloat16],
]);

/** Names of the element types that are not read, for messages. */
export const unsupportedGgmlTypes: ReadonlyMap<number, string> = new Map([
  [9, "Q8_1"],
  [10, "Q2_K"],
  [11, "Q3_K"],
  [15, "Q8_K"],
  [16, "IQ2_XXS"],
  [17, "IQ2_XS"],
  [18, "IQ3_XXS"],
  [19, "IQ1_S"],
  [20, "IQ4_NL"],
  [21, "IQ3_S"],
  [22, "IQ2_S"],
  [23, "IQ4_XS"],
  [24, "I8"],
  [25, "I16"],
  [26, "I32"],
  [27, "I64"],
  [28, "F64"],
  [29, "IQ1_M"],
  [34, "TQ1_0"],
  [35, "TQ2_0"],
  [39, "MXFP4"],
]);
