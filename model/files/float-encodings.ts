import type { TensorEncoding } from "./tensor-encoding.ts";

/** All half-precision numbers by bit pattern. Shape `[65536]`. */
export const halfValues: Float32Array = Float32Array.from({ length: 0x10000 }, (_, bits) => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
});

export const float32: TensorEncoding = {
  name: "F32",
  blockValues: 1,
  blockBytes: 4,
  numbers: { sizeBytes: 4, offsets: [0] },
  decode(bytes, out) {
    out.set(new Float32Array(bytes.buffer, bytes.byteOffset, out.length));
  },
};

export const float16: TensorEncoding = {
  name: "F16",
  blockValues: 1,
  blockBytes: 2,
  numbers: { sizeBytes: 2, offsets: [0] },
  decode(bytes, out) {
    const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, out.length);
    for (let i = 0; i < out.length; i++) out[i] = halfValues[halves[i]!]!;
  },
};

/** The upper half of a single-precision number. */
export const bfloat16: TensorEncoding = {
  name: "BF16",
  blockValues: 1,
  blockBytes: 2,
  numbers: { sizeBytes: 2, offsets: [0] },
  decode(bytes, out) {
    const uppers = new Uint16Array(bytes.buffer, bytes.byteOffset, out.length);
    const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
    for (let i = 0; i < out.length; i++) bits[i] = uppers[i]! << 16;
  },
};
