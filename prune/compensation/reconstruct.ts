import { selectColumns } from "../../model/experts/pruned-weights.ts";
import { gramElement, invertGram } from "../choice/gram.ts";
import { zeros } from "../linear/matrix.ts";
import type { Matrix } from "../linear/matrix.ts";
import { withMatrixProducts } from "../linear/matrix-products.ts";
import type { Comoment } from "../calibration/statistics.ts";

/** A projection of fewer inputs in place of the dense one. */
export interface ReducedProjection {
  /** Shape `[numRows, kept.length]`, row-major. */
  readonly matrix: Float32Array;
  /** Added to the output. Shape `[numRows]`. */
  readonly bias: Float32Array;
  /** Added to the diagonal of the Gram matrix; null when it had no use and only the bias compensates. */
  readonly damping: number | null;
}

export interface LeastSquaresOptions {
  /** Damping as a fraction of the Gram matrix's typical diagonal. @default 0.1 */
  readonly ridge?: number;
  /** What the damping draws the kept weights to. @default "weights" */
  readonly towards?: "weights" | "zero";
}

/**
 * Δb = W[:, removed] · mean[removed], the bias compensation of FLAP and SEAP: what the removed inputs gave on
 * average.
 * @param matrix shape `[numRows, mean.length]`, row-major
 * @param kept ascending
 */
export function biasCompensation(
  matrix: Float32Array,
  mean: Float64Array,
  kept: readonly number[],
): Float32Array {
  const size = mean.length;
  const removed = complement(kept, size);
  return Float32Array.from({ length: matrix.length / size }, (_, row) =>
    removed.reduce((sum, j) => sum + matrix[row * size + j]! * mean[j]!, 0),
  );
}

/** The kept columns as they are, with {@link biasCompensation}. */
export function keepColumns(
  matrix: Float32Array,
  mean: Float64Array,
  kept: readonly number[],
): ReducedProjection {
  const numRows = matrix.length / mean.length;
  return {
    matrix: selectColumns(matrix, kept, numRows),
    bias: biasCompensation(matrix, mean, kept),
    damping: null,
  };
}

/**
 * The matrix over the kept inputs S whose output is nearest to the dense one over the calibration tokens:
 * W' = (W G[:, S] + λ W[:, S]) (G[S, S] + λ I)⁻¹, without the term λ W[:, S] when drawn to zero; the bias takes
 * the means, W μ - W' μ[S]. Falls back to {@link keepColumns} where G has no positive definite form.
 * @param matrix shape `[numRows, size]`, row-major
 * @param kept S, ascending
 */
export async function leastSquares(
  matrix: Float32Array,
  comoment: Comoment,
  kept: readonly number[],
  options: LeastSquaresOptions = {},
): Promise<ReducedProjection> {
  const { ridge = 0.1, towards = "weights" } = options;
  const { mean } = comoment;
  const size = mean.length;
  const numRows = matrix.length / size;
  const removed = complement(kept, size);
  const nothingToDo = kept.length === 0 || (removed.length === 0 && towards === "weights");
  const refitted = nothingToDo
    ? null
    : await withMatrixProducts(async (products) => {
        const inverted = await invertGram(products, comoment, kept, ridge);
        if (!inverted) return null;
        const { inverse, damping } = inverted;
        // W' - W[:, S] = (W[:, R] G[R, S] - λ' W[:, S]) (G[S, S] + λ I)⁻¹; λ' = 0 when drawn to the weights.
        const pull = towards === "zero" ? damping : 0;
        const pulled = columnsOf(matrix, kept, numRows, pull);
        const gone = columnsOf(matrix, removed, numRows);
        const minusTarget = await products.subtract(gone, crossOf(comoment, kept, removed), pulled);
        const change = await products.subtract(minusTarget, inverse);
        return { change: change.data, damping };
      });
  if (!refitted) return keepColumns(matrix, mean, kept);
  const { change, damping } = refitted;

  const bias = new Float32Array(numRows);
  for (let row = 0; row < numRows; row++) {
    let sum = 0;
    for (const j of removed) sum += matrix[row * size + j]! * mean[j]!;
    for (let i = 0; i < kept.length; i++) sum -= change[row * kept.length + i]! * mean[kept[i]!]!;
    bias[row] = sum;
  }
  const reduced = selectColumns(matrix, kept, numRows).map((value, i) => value + change[i]!);
  return { matrix: reduced, bias, damping };
}

/** Some columns, times a factor. */
function columnsOf(
  matrix: Float32Array,
  indices: readonly number[],
  numRows: number,
  factor = 1,
): Matrix {
  const data = new Float64Array(selectColumns(matrix, indices, numRows));
  return { data: data.map((value) => value * factor), rows: numRows, columns: indices.length };
}

/** A part of the Gram matrix. */
function crossOf(comoment: Comoment, rows: readonly number[], columns: readonly number[]): Matrix {
  const cross = zeros(rows.length, columns.length);
  for (let i = 0, at = 0; i < rows.length; i++) {
    for (let j = 0; j < columns.length; j++) {
      cross.data[at++] = gramElement(comoment, rows[i]!, columns[j]!);
    }
  }
  return cross;
}

function complement(indices: readonly number[], size: number): number[] {
  const inside = new Set(indices);
  return Array.from({ length: size }, (_, i) => i).filter((i) => !inside.has(i));
}
