import { QUANT_BLOCK_SIZE, quantize } from "../weights/quantize.ts";
import type { QuantizedMatrix, WeightFormat } from "../weights/quantize.ts";

/** A weight of a stage as no device in particular reads it: numbers, or a matrix in blocks of small integers. */
export type StageTensor = PlainTensor | QuantizedTensor;

export interface PlainTensor {
  readonly kind: "plain";
  /** A matrix that something is multiplied with is `[inFeatures, outFeatures]`. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface QuantizedTensor extends QuantizedMatrix {
  readonly kind: "quantized";
  /** Of a matrix that something is multiplied with: its outFeatures. */
  readonly rows: number;
  /** That count: what the last block of a row is filled up with is not among them. */
  readonly columns: number;
}

/** Weights by the names that a stage's specification leads to. */
export type StageWeights = ReadonlyMap<string, StageTensor>;

export function vectorTensor(values: Float32Array): PlainTensor {
  return { kind: "plain", shape: [values.length], values };
}

/** @param matrix shape `[rows, columns]`, row-major: `columns` is the last dimension of what it multiplies */
export function projectionTensor(
  matrix: Float32Array,
  rows: number,
  format: WeightFormat,
): StageTensor {
  const columns = matrix.length / rows;
  if (format !== "f32") return quantized(matrix, rows, columns, format === "q8" ? 8 : 4);
  return { kind: "plain", shape: [columns, rows], values: transpose(matrix, rows, columns) };
}

/**
 * A matrix whose rows are looked up: in 8 bits at least.
 * @param matrix shape `[rows, columns]`, row-major
 */
export function tableTensor(matrix: Float32Array, rows: number, format: WeightFormat): StageTensor {
  const columns = matrix.length / rows;
  // ONNX Runtime's look-up of quantised rows has no padding for a row's last block.
  if (format !== "f32" && columns % QUANT_BLOCK_SIZE === 0) {
    return quantized(matrix, rows, columns, 8);
  }
  return { kind: "plain", shape: [rows, columns], values: matrix };
}

/** The arrays that a tensor lies in, by what their names add to the tensor's. */
export function tensorParts(
  tensor: StageTensor,
): readonly (readonly [suffix: string, data: Float32Array | Uint8Array])[] {
  if (tensor.kind === "plain") return [["", tensor.values]];
  const { data, scales, zeroPoints } = tensor;
  return [
    ["", data],
    [".scales", scales],
    ...(zeroPoints === null ? [] : [[".zeros", zeroPoints] as const]),
  ];
}

export function tensorBytes(tensor: StageTensor): number {
  return tensorParts(tensor).reduce((sum, [, { byteLength }]) => sum + byteLength, 0);
}

function quantized(
  matrix: Float32Array,
  rows: number,
  columns: number,
  bits: 8 | 4,
): QuantizedTensor {
  return { kind: "quantized", rows, columns, ...quantize(matrix, rows, columns, bits) };
}

function transpose(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = matrix[row * columns + column]!;
    }
  }
  return result;
}
