import type { ModuleStatistics } from "../calibration/statistics.ts";

/**
 * ‖W[:, j]‖² of every input column j.
 * @param matrix shape `[numRows, numColumns]`, row-major
 */
export function squaredColumnNorms(matrix: Float32Array, numColumns: number): Float64Array {
  const norms = new Float64Array(numColumns);
  for (let start = 0; start < matrix.length; start += numColumns) {
    for (let j = 0; j < numColumns; j++) norms[j]! += matrix[start + j]! ** 2;
  }
  return norms;
}

/** s_F = var_j · ‖W[:, j]‖²: FLAP's weighted input feature variance (WIFV), SEAP's score. */
export function flapScores(statistics: ModuleStatistics, squaredNorms: Float64Array): Float64Array {
  return statistics.variance().map((variance, j) => variance * squaredNorms[j]!);
}

/** s_W = sqrt(mean of x_j²) · ‖W[:, j]‖: the weighted input feature norm of Wanda-sp. */
export function wandaScores(
  statistics: ModuleStatistics,
  squaredNorms: Float64Array,
): Float64Array {
  return statistics.meanSquare().map((square, j) => Math.sqrt(square * squaredNorms[j]!));
}

/** A head's score is the mean over its `headDim` columns. */
export function headScores(columnScores: Float64Array, headDim: number): Float64Array {
  return Float64Array.from({ length: columnScores.length / headDim }, (_, head) => {
    const columns = columnScores.subarray(head * headDim, (head + 1) * headDim);
    return columns.reduce((sum, score) => sum + score, 0) / headDim;
  });
}

/** Zero mean and unit standard deviation (divisor n - 1) within one layer; zeros where all are equal. */
export function standardise(scores: Float64Array): Float64Array {
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const squares = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / (scores.length - 1));
  return scores.map((score) => (deviation > 0 ? (score - mean) / deviation : 0));
}

/** Scores of one layer's heads and channels on a scale that all layers share. */
export interface ComparableScores {
  /** Shape `[numHeads]`. */
  readonly heads: Float64Array;
  /** Shape `[intermediateSize]`. */
  readonly channels: Float64Array;
}

/**
 * FLAP's scores for its global threshold (AL-AM): columns standardised within the layer and module, those of
 * attention squared before as FLAP's code (`lib/prune.py`) does, heads as means of their columns.
 * @param attentionColumns s_F of the output projection's columns, shape `[numHeads * headDim]`
 * @param channels s_F of the down projection's columns
 */
export function flapGlobalScores(
  attentionColumns: Float64Array,
  channels: Float64Array,
  headDim: number,
): ComparableScores {
  const squared = attentionColumns.map((score) => score ** 2);
  return {
    heads: headScores(standardise(squared), headDim),
    channels: standardise(channels),
  };
}

/** SEAP-gen: the weighted sum of the tasks' scores. All of one length. */
export function weightedScores(
  tasks: readonly { readonly scores: Float64Array; readonly weight: number }[],
): Float64Array {
  return tasks[0]!.scores.map((_, j) =>
    tasks.reduce((sum, { scores, weight }) => sum + weight * scores[j]!, 0),
  );
}

/** Indices by rising score, equal ones in their own order: the order in which channels go by score. */
export function orderByScore(scores: Float64Array): number[] {
  return Array.from(scores.keys()).sort((a, b) => scores[a]! - scores[b]! || a - b);
}
