import { z } from "zod";
import { tensorParts } from "./stage-tensor.ts";
import type { StageTensor, StageWeights } from "./stage-tensor.ts";
import { QUANT_BLOCK_SIZE } from "../weights/quantize.ts";

/** Alignment of each array in its file. */
const alignment = 64;

const size = z.int().nonnegative();

/** What a file of weights says of each tensor, in the order of the file. */
export const storedTensorSchema = z.discriminatedUnion("kind", [
  z.strictObject({ name: z.string(), kind: z.literal("plain"), shape: z.array(size) }),
  z.strictObject({
    name: z.string(),
    kind: z.literal("quantized"),
    bits: z.literal([8, 4]),
    rows: size,
    columns: size,
    /** @default those of 4 bits have them */
    hasZeroPoints: z.boolean().optional(),
    /** @default false */
    hasOffsets: z.boolean().optional(),
  }),
]);

export type SegmentTensor = z.infer<typeof storedTensorSchema>;

/** A tensor without its values. */
export function describeTensor(name: string, tensor: StageTensor): SegmentTensor {
  if (tensor.kind === "plain") return { name, kind: "plain", shape: [...tensor.shape] };
  const { bits, rows, columns, zeroPoints, offsets } = tensor;
  return {
    ...({ name, kind: "quantized", bits, rows, columns } as const),
    ...(bits === 4 && zeroPoints === null && { hasZeroPoints: false }),
    ...(offsets !== null && { hasOffsets: true }),
  };
}

/** The content of a file: the arrays of the tensors, each at the next multiple of 64 bytes. */
export function* segmentBytes(weights: StageWeights): Generator<Uint8Array> {
  for (const tensor of weights.values()) {
    for (const [, { buffer, byteOffset, byteLength }] of tensorParts(tensor)) {
      yield new Uint8Array(buffer, byteOffset, byteLength);
      const padding = alignedEnd(byteLength) - byteLength;
      if (padding > 0) yield new Uint8Array(padding);
    }
  }
}

/**
 * The tensors of a file, in its memory.
 * @param bytes in a buffer of their own
 * @returns null when the file has not the size that the tensors have
 */
export function readSegment(
  stored: readonly SegmentTensor[],
  bytes: Uint8Array<ArrayBuffer>,
): StageWeights | null {
  const { buffer } = bytes;
  if (segmentSize(stored) !== buffer.byteLength) return null;
  let offset = 0;
  const place = (byteLength: number): number => {
    const start = offset;
    offset += alignedEnd(byteLength);
    return start;
  };
  const floats = (length: number) => new Float32Array(buffer, place(4 * length), length);
  const integers = (length: number) => new Uint8Array(buffer, place(length), length);
  const weights = new Map<string, StageTensor>();
  for (const { name, ...tensor } of stored) {
    if (tensor.kind === "plain") {
      weights.set(name, { ...tensor, values: floats(product(tensor.shape)) });
      continue;
    }
    const { kind, bits, rows, columns } = tensor;
    const { data, scales, zeroPoints, offsets } = lengthsOf(tensor);
    weights.set(name, {
      ...{ kind, bits, rows, columns },
      data: integers(data),
      scales: floats(scales),
      zeroPoints: zeroPoints === null ? null : integers(zeroPoints),
      offsets: offsets === null ? null : floats(offsets),
    });
  }
  return weights;
}

/** Bytes of a file of these tensors. */
export function segmentSize(stored: readonly SegmentTensor[]): number {
  return stored.reduce((sum, tensor) => sum + fileBytes(tensor), 0);
}

function fileBytes(tensor: SegmentTensor): number {
  if (tensor.kind === "plain") return alignedEnd(4 * product(tensor.shape));
  const { data, scales, zeroPoints, offsets } = lengthsOf(tensor);
  return (
    alignedEnd(data) +
    alignedEnd(4 * scales) +
    alignedEnd(zeroPoints ?? 0) +
    alignedEnd(4 * (offsets ?? 0))
  );
}

/** Elements of each array. */
function lengthsOf({
  bits,
  rows,
  columns,
  hasZeroPoints = bits === 4,
  hasOffsets = false,
}: Omit<Extract<SegmentTensor, { kind: "quantized" }>, "name">) {
  const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
  return {
    data: (rows * numBlocks * QUANT_BLOCK_SIZE * bits) / 8,
    scales: rows * numBlocks,
    zeroPoints: hasZeroPoints ? rows * Math.ceil(numBlocks / 2) : null,
    offsets: hasOffsets ? rows * numBlocks : null,
  };
}

function product(shape: readonly number[]): number {
  return shape.reduce((result, length) => result * length, 1);
}

function alignedEnd(offset: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
