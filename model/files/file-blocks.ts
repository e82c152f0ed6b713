import { halfValues } from "./float-encodings.ts";
import { unpackScales } from "./gguf-k-scales.ts";
import type { BlockReader } from "./tensor-encoding.ts";

// What block formats of GGUF files say in the terms of ONNX Runtime's MatMulNBits: integers in blocks of 32 with a scale.
// A weight is (q - 8) * scale + offset with 4 bits, and (q - 128) * scale with 8.

function half(bytes: Uint8Array, at: number): number {
  return halfValues[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

/** Low nibbles are the first 16 values in the file, neighbours share a byte here. */
function repackNibbles(bytes: Uint8Array, from: number, data: Uint8Array, to: number): void {
  for (let i = 0; i < 8; i++) {
    const [first, second] = [bytes[from + 2 * i]!, bytes[from + 2 * i + 1]!];
    data[to + i] = (first & 15) | ((second & 15) << 4);
    data[to + 8 + i] = (first >> 4) | (second & 0xf0);
  }
}

export const blocks4_0: BlockReader = {
  bits: 4,
  hasOffsets: false,
  read(bytes, { data, scales }, at) {
    for (let b = 0, block = at; b < bytes.length; b += 18, block++) {
      scales[block] = half(bytes, b);
      repackNibbles(bytes, b + 2, data, 16 * block);
    }
  },
};

export const blocks4_1: BlockReader = {
  bits: 4,
  hasOffsets: true,
  read(bytes, { data, scales, offsets }, at) {
    for (let b = 0, block = at; b < bytes.length; b += 20, block++) {
      const d = half(bytes, b);
      scales[block] = d;
      offsets![block] = half(bytes, b + 2) + 8 * d;
      repackNibbles(bytes, b + 4, data, 16 * block);
    }
  },
};

export const blocks4K: BlockReader = {
  bits: 4,
  hasOffsets: true,
  read(bytes, { data, scales, offsets }, at) {
    const groupScales = new Uint8Array(8);
    const mins = new Uint8Array(8);
    for (let b = 0, block = at; b < bytes.length; b += 144, block += 8) {
      const [d, dmin] = [half(bytes, b), half(bytes, b + 2)];
      unpackScales(bytes, b + 4, groupScales, mins);
      for (let group = 0; group < 8; group++) {
        const scale = Math.fround(d * groupScales[group]!);
        scales[block + group] = scale;
        offsets![block + group] = 8 * scale - dmin * mins[group]!;
        // 32 bytes hold two groups: the low nibbles one, the high nibbles the next.
        const from = b + 16 + (group >> 1) * 32;
        const shift = (group & 1) * 4;
        const to = 16 * (block + group);
        for (let i = 0; i < 16; i++) {
          const first = (bytes[from + 2 * i]! >> shift) & 15;
          const second = (bytes[from + 2 * i + 1]! >> shift) & 15;
          data[to + i] = first | (second << 4);
        }
      }
    }
  },
};

export const blocks8_0: BlockReader = {
  bits: 8,
  hasOffsets: false,
  read(bytes, { data, scales }, at) {
    for (let b = 0, block = at; b < bytes.length; b += 34, block++) {
      scales[block] = half(bytes, b);
      // Signed to unsigned with 128 in the middle.
      for (let i = 0; i < 32; i++) data[32 * block + i] = bytes[b + 2 + i]! ^ 0x80;
    }
  },
};
