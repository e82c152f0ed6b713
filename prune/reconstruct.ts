import { selectColumns } from "../model/pruned-weights.ts";
import { factorGram, gramElement } from "./gram.ts";
import { solveCholesky, subtractProduct } from "./linear-algebra.ts";
import type { Comoment } from "./statistics.ts";

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
  /** Damping as a fraction of the Gram matrix's mean diagonal. @default 0.1 */
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
export function leastSquares(
  matrix: Float32Array,
  comoment: Comoment,
  kept: readonly number[],
  options: LeastSquaresOptions = {},
): ReducedProjection {
  const { ridge = 0.1, towards = "weights" } = options;
  const { mean } = comoment;
  const size = mean.length;
  const numRows = matrix.length / size;
  const removed = complement(kept, size);
  const nothingToDo = kept.length === 0 || (removed.length === 0 && towards === "weights");
  const factored = nothingToDo ? null : factorGram(comoment, kept, ridge);
  if (!factored) return keepColumns(matrix, mean, kept);
  const { factor, damping } = factored;

  // W' - W[:, S] = (W[:, R] G[R, S] - λ' W[:, S]) (G[S, S] + λ I)⁻¹ with λ' = 0 when drawn to the weights.
  const pull = towards === "zero" ? damping : 0;
  const change = new Float64Array(numRows * kept.length);
  for (let row = 0, at = 0; row < numRows; row++) {
    for (const j of kept) change[at++] = -pull * matrix[row * size + j]!;
  }
  const minusRemoved = Float64Array.from(
    selectColumns(matrix, removed, numRows),
    (value) => -value,
  );
  const cross = Float64Array.from({ length: kept.length * removed.length }, (_, i) =>
    gramElement(comoment, kept[Math.floor(i / removed.length)]!, removed[i % removed.length]!),
  );
  subtractProduct(
    change,
    kept.length,
    { data: minusRemoved, rows: numRows, columns: removed.length },
    { data: cross, rows: kept.length, columns: removed.length },
  );
  solveCholesky(factor, kept.length, change);

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

function complement(indices: readonly number[], size: number): number[] {
  const inside = new Set(indices);
  return Array.from({ length: size }, (_, i) => i).filter((i) => !inside.has(i));
}
