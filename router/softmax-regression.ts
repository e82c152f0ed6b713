import { minimize } from "./lbfgs.ts";
import type { Rows } from "./matrix.ts";

/** Scores of classes that are linear in the input; a softmax makes probabilities of them. */
export interface LinearScores {
  /** Shape `[numClasses, numColumns]`. */
  readonly weights: readonly Float64Array[];
  /** Shape `[numClasses]`. */
  readonly biases: Float64Array;
}

export interface SoftmaxRegressionOptions {
  readonly numClasses: number;
  /** Of the squared weights, relative to one row's loss. */
  readonly decay: number;
  /** @default 100 */
  readonly maxIterations?: number;
}

/**
 * Multinomial logistic regression. Every class counts the same, however many rows it has.
 * @param labels class of each row
 */
export function fitSoftmaxRegression(
  rows: Rows,
  labels: Int32Array,
  { numClasses, decay, maxIterations = 100 }: SoftmaxRegressionOptions,
): LinearScores {
  const width = rows[0]!.length;
  const counts = new Float64Array(numClasses);
  for (const label of labels) counts[label]! += 1;
  const share = counts.map((count) => 1 / (numClasses * count));
  // Of each class, its weights and then its bias.
  const stride = width + 1;
  const scores = new Float64Array(numClasses);
  const point = minimize(
    (parameters, gradient) => {
      gradient.fill(0);
      let loss = 0;
      for (const [i, row] of rows.entries()) {
        const label = labels[i]!;
        const weight = share[label]!;
        for (let c = 0; c < numClasses; c++) {
          const start = c * stride;
          let score = parameters[start + width]!;
          for (let k = 0; k < width; k++) score += parameters[start + k]! * row[k]!;
          scores[c] = score;
        }
        const normalizer = logSumExp(scores);
        loss += weight * (normalizer - scores[label]!);
        for (let c = 0; c < numClasses; c++) {
          const slope = weight * (Math.exp(scores[c]! - normalizer) - +(c === label));
          const start = c * stride;
          for (let k = 0; k < width; k++) gradient[start + k]! += slope * row[k]!;
          gradient[start + width]! += slope;
        }
      }
      for (let c = 0; c < numClasses; c++) {
        for (let k = c * stride; k < c * stride + width; k++) {
          loss += 0.5 * decay * parameters[k]! ** 2;
          gradient[k]! += decay * parameters[k]!;
        }
      }
      return loss;
    },
    new Float64Array(numClasses * stride),
    { maxIterations },
  );
  return {
    weights: Array.from({ length: numClasses }, (_, c) =>
      point.slice(c * stride, c * stride + width),
    ),
    biases: Float64Array.from({ length: numClasses }, (_, c) => point[c * stride + width]!),
  };
}

export function linearScores({ weights, biases }: LinearScores, row: Float64Array): Float64Array {
  return biases.map((bias, c) => {
    const own = weights[c]!;
    let score = bias;
    for (let k = 0; k < row.length; k++) score += own[k]! * row[k]!;
    return score;
  });
}

export function logSumExp(values: Float64Array): number {
  const largest = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (largest === -Infinity) return -Infinity;
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

/** Of scores. */
export function softmax(scores: Float64Array): Float64Array {
  const normalizer = logSumExp(scores);
  return scores.map((score) => Math.exp(score - normalizer));
}
