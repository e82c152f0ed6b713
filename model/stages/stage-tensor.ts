import { fileBlocks, forChunks, QUANT_BLOCK_SIZE, quantizeRows } from "../weights/quantize.ts";
import type { MatrixRows } from "../weights/matrix-rows.ts";
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

/** @param matrix its columns are the last dimension of what it multiplies */
export function projectionTensor(matrix: MatrixRows, format: WeightFormat): StageTensor {
  if (format !== "f32") return quantized(matrix, format === "q8" ? 8 : 4);
  const { rows, columns } = matrix;
  const values = new Float32Array(rows * columns);
  forChunks(matrix, (part, { start, end }) => {
    for (let row = start; row < end; row++) {
      for (let column = 0; column < columns; column++) {
        values[column * rows + row] = part[(row - start) * columns + column]!;
      }
    }
  });
  return { kind: "plain", shape: [columns, rows], values };
}

/** A matrix whose rows are looked up: in 8 bits at least. */
export function tableTensor(matrix: MatrixRows, format: WeightFormat): StageTensor {
  const { rows, columns, read } = matrix;
  // ONNX Runtime's look-up of quantised rows has no padding for a row's last block.
  if (format !== "f32" && columns % QUANT_BLOCK_SIZE === 0) return quantized(matrix, 8);
  return { kind: "plain", shape: [rows, columns], values: read({ start: 0, end: rows }) };
}

/** The arrays that a tensor lies in, by what their names add to the tensor's. */
export function tensorParts(
  tensor: StageTensor,
): readonly (readonly [suffix: string, data: Float32Array | Uint8Array])[] {
  if (tensor.kind === "plain") return [["", tensor.values]];
  const { data, scales, zeroPoints, offsets } = tensor;
  return [
    ["", data],
    [".scales", scales],
    ...(zeroPoints === null ? [] : [[".zeros", zeroPoints] as const]),
    ...(offsets === null ? [] : [[".offsets", offsets] as const]),
  ];
}

export function tensorBytes(tensor: StageTensor): number {
  return tensorParts(tensor).reduce((sum, [, { byteLength }]) => sum + byteLength, 0);
}

/**
 * In as many bits as are wanted. What the file has in blocks of that many stays as it is; what it has in 5 to 8 bits was
 * given more than 4 for a reason, and what a file of 4 bits has in another form would be rounded to 4 a second time: both
 * have 8.
 */
function quantized(matrix: MatrixRows, wanted: 8 | 4): QuantizedTensor {
  const { rows, columns, stored } = matrix;
  const blocks = stored?.blocks;
  const bits = wanted === 4 && blocks?.bits !== 4 && (stored?.bits ?? 32) <= 8 ? 8 : wanted;
  const content = blocks?.bits === bits ? fileBlocks(matrix, blocks) : quantizeRows(matrix, bits);
  return { kind: "quantized", rows, columns, ...content };
}
