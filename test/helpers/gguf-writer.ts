import { writeFileSync } from "node:fs";

/** Integers are written as 32 bits, bigints as 64 bits, other numbers as single precision. */
export type WritableMetadata = Readonly<
  Record<string, string | number | bigint | boolean | readonly string[] | readonly number[]>
>;

export interface WritableTensor {
  readonly name: string;
  /** Row-major, slowest dimension first. */
  readonly shape: readonly number[];
  readonly type: keyof typeof ggmlTypes;
  /** Values for F32, F16, BF16 and Q8_0; the encoded bytes for any type. */
  readonly data: Float32Array | Uint8Array;
}

export interface GgufFormat {
  readonly version?: number;
  readonly alignment?: number;
  /** As on s390x, and as llama.cpp's converter writes it for such machines. @default false */
  readonly isBigEndian?: boolean;
}

const ggmlTypes = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  IQ4_NL: 20,
  BF16: 30,
} as const;

/** Numbers of more than one byte in a block: bytes of the block, of a number, and where they begin. */
const blockNumbers: Readonly<
  Partial<Record<keyof typeof ggmlTypes, readonly [number, number, readonly number[]]>>
> = {
  F32: [4, 4, [0]],
  F16: [2, 2, [0]],
  BF16: [2, 2, [0]],
  Q4_0: [18, 2, [0]],
  Q4_1: [20, 2, [0, 2]],
  Q5_0: [22, 2, [0]],
  Q5_1: [24, 2, [0, 2]],
  Q8_0: [34, 2, [0]],
  Q4_K: [144, 2, [0, 2]],
  Q5_K: [176, 2, [0, 2]],
  Q6_K: [210, 2, [208]],
};

export function writeGguf(
  path: string,
  metadata: WritableMetadata,
  tensors: readonly WritableTensor[],
  format: GgufFormat = {},
): void {
  writeFileSync(path, ggufBytes(metadata, tensors, format));
}

/** The content of a GGUF file; it ends with the last byte of the last tensor. */
export function ggufBytes(
  metadata: WritableMetadata,
  tensors: readonly WritableTensor[],
  { version = 3, alignment = 32, isBigEndian = false }: GgufFormat = {},
): Buffer {
  const { uint32, uint64, text, typedValue } = numberWriter(isBigEndian);
  const entries = Object.entries({
    ...metadata,
    ...(alignment === 32 ? {} : { "general.alignment": alignment }),
  });
  const header = [
    Buffer.from("GGUF"),
    uint32(version),
    uint64(tensors.length),
    uint64(entries.length),
  ];
  for (const [key, value] of entries) header.push(text(key), typedValue(value));

  const data: Buffer[] = [];
  let dataBytes = 0;
  for (const { name, shape, type, data: values } of tensors) {
    const padding = -dataBytes & (alignment - 1);
    const little = encode(type, values);
    const bytes = isBigEndian ? swapNumbers(type, little) : little;
    header.push(text(name), uint32(shape.length), ...shape.toReversed().map(uint64));
    header.push(uint32(ggmlTypes[type]), uint64(dataBytes + padding));
    data.push(Buffer.alloc(padding), bytes);
    dataBytes += padding + bytes.length;
  }
  const head = Buffer.concat(header);
  return Buffer.concat([head, Buffer.alloc(-head.length & (alignment - 1)), ...data]);
}

function encode(type: WritableTensor["type"], values: Float32Array | Uint8Array): Buffer {
  if (values instanceof Uint8Array) return Buffer.from(values);
  if (type === "F32") return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  if (type === "F16") return uint16s(values, halfBits);
  if (type === "BF16") return uint16s(values, bfloat16Bits);
  if (type === "Q8_0") return encodeQ8(values);
  throw new TypeError(`pass the encoded bytes for ${type}`);
}

function encodeQ8(values: Float32Array): Buffer {
  const blocks: Buffer[] = [];
  for (let start = 0; start < values.length; start += 32) {
    const block = values.subarray(start, start + 32);
    const scale = block.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 127;
    const bytes = Buffer.alloc(34);
    bytes.writeUInt16LE(halfBits(scale), 0);
    block.forEach((value, i) => bytes.writeInt8(scale ? Math.round(value / scale) : 0, 2 + i));
    blocks.push(bytes);
  }
  return Buffer.concat(blocks);
}

/** Bits of the nearest half-precision number, ties to even; too large values become infinite. */
export function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  const exponent = Math.max(magnitude === 0 ? -14 : Math.floor(Math.log2(magnitude)), -14);
  const steps = roundToEven(magnitude / 2 ** (exponent - 10));
  // 1,024 steps are the implicit leading one, which adds to the exponent field.
  return sign | (steps < 1024 ? steps : ((exponent + 14) << 10) + steps);
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/** Upper half of the bits of a single-precision number, without rounding. */
export function bfloat16Bits(value: number): number {
  return float32(value).readUInt32LE(0) >>> 16;
}

export function uint16s(values: Float32Array, bitsOf: (value: number) => number): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => bytes.writeUInt16LE(bitsOf(value), i * 2));
  return bytes;
}

function swapNumbers(type: WritableTensor["type"], little: Buffer): Buffer {
  const bytes = Buffer.from(little);
  const [blockBytes, sizeBytes, offsets] = blockNumbers[type]!;
  for (let block = 0; block < bytes.length; block += blockBytes) {
    for (const offset of offsets) {
      bytes.subarray(block + offset, block + offset + sizeBytes).reverse();
    }
  }
  return bytes;
}

function numberWriter(isBigEndian: boolean) {
  const ordered = (bytes: Buffer): Buffer => (isBigEndian ? bytes.reverse() : bytes);
  const uint32 = (value: number): Buffer => ordered(littleUint32(value));
  const uint64 = (value: number | bigint): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return ordered(bytes);
  };
  const single = (value: number): Buffer => ordered(float32(value));
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value, "utf8");
    return Buffer.concat([uint64(bytes.length), bytes]);
  };
  const typedValue = (value: WritableMetadata[string]): Buffer => {
    if (typeof value === "string") return Buffer.concat([uint32(8), text(value)]);
    if (typeof value === "boolean") return Buffer.concat([uint32(7), Buffer.of(value ? 1 : 0)]);
    if (typeof value === "bigint") return Buffer.concat([uint32(10), uint64(value)]);
    if (typeof value === "number") {
      if (!Number.isInteger(value)) return Buffer.concat([uint32(6), single(value)]);
      return Buffer.concat(
        value < 0 ? [uint32(5), uint32(value >>> 0)] : [uint32(4), uint32(value)],
      );
    }
    const items = value.map((item) => (typeof item === "string" ? text(item) : single(item)));
    const itemType = typeof value[0] === "string" ? 8 : 6;
    return Buffer.concat([uint32(9), uint32(itemType), uint64(value.length), ...items]);
  };
  return { uint32, uint64, text, typedValue };
}

function littleUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function float32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
