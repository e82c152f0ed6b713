/** Sums over the tokens of one batch, as a graph computes them. */
export interface BatchSums {
  /** Tokens. */
  readonly count: number;
  /** Sum of x per dimension. Shape `[size]`. */
  readonly sum: ArrayLike<number>;
  /** Sum of x² per dimension. Shape `[size]`. */
  readonly sumOfSquares: ArrayLike<number>;
  /** The same tokens with weights w; 1 / mean square of the residual stream for least squares. */
  readonly weighted?: WeightedSums;
}

export interface WeightedSums {
  /** Sum of w, greater than 0. */
  readonly weight: number;
  /** Sum of w x. Shape `[size]`. */
  readonly sum: ArrayLike<number>;
  /** Sum of w x xᵀ, symmetric. Shape `[size, size]`. */
  readonly outer: ArrayLike<number>;
}

/**
 * Weighted covariance of a module's input, times the sum of weights. In double precision: a Gram matrix of
 * less goes indefinite.
 */
export interface Comoment {
  /** Sum of the token weights w. */
  weight: number;
  /** Weighted mean of x. Shape `[size]`. */
  readonly mean: Float64Array;
  /** Sum of w (x - mean)(x - mean)ᵀ: lower triangle by rows, element (i, j) at `i (i + 1) / 2 + j`. */
  readonly matrix: Float64Array;
}

/** State of {@link ModuleStatistics}, to be stored. */
export interface StatisticsParts {
  readonly count: number;
  readonly mean: Float64Array;
  readonly squaredDeviations: Float64Array;
  readonly comoment: Comoment | null;
}

/** Inputs of a layer's two pruned matrices. */
export interface LayerStatistics {
  /** Input of the output projection. Size `numHeads * headDim`. */
  readonly attention: ModuleStatistics;
  /** Input of the down projection. Size `intermediateSize`. */
  readonly mlp: ModuleStatistics;
}

/** Running statistics of a module's input x over the calibration tokens, per dimension. */
export class ModuleStatistics implements StatisticsParts {
  readonly size: number;
  /** Tokens seen; a fraction after weighting. */
  count: number;
  /** Shape `[size]`. */
  readonly mean: Float64Array;
  /** Sum of (x - mean)². Shape `[size]`. */
  readonly squaredDeviations: Float64Array;
  /** Null unless asked for: it has size² / 2 elements. */
  readonly comoment: Comoment | null;

  /** Takes the arrays over. */
  constructor(parts: StatisticsParts) {
    this.size = parts.mean.length;
    this.count = parts.count;
    this.mean = parts.mean;
    this.squaredDeviations = parts.squaredDeviations;
    this.comoment = parts.comoment;
  }

  /** Statistics of no tokens. */
  static empty(size: number, options: { readonly withComoment: boolean }): ModuleStatistics {
    return new ModuleStatistics({
      count: 0,
      mean: new Float64Array(size),
      squaredDeviations: new Float64Array(size),
      comoment: options.withComoment ? emptyComoment(size) : null,
    });
  }

  /** Variance per dimension over all tokens (divisor `count`). Shape `[size]`. */
  variance(): Float64Array {
    return this.squaredDeviations.map((sum) => sum / this.count);
  }

  /** Mean of x² per dimension. Shape `[size]`. */
  meanSquare(): Float64Array {
    return this.squaredDeviations.map((sum, j) => sum / this.count + this.mean[j]! ** 2);
  }

  /** Adds a batch; `sums.weighted` must be there when the comoment is asked for. */
  addBatch(sums: BatchSums): void {
    const { count } = sums;
    if (count === 0) return;
    const mean = Float64Array.from(sums.sum, (sum) => sum / count);
    const squaredDeviations = mean.map((m, j) =>
      Math.max(0, sums.sumOfSquares[j]! - count * m * m),
    );
    const comoment = this.comoment && comomentOf(sums.weighted!);
    this.merge({ count, mean, squaredDeviations, comoment });
  }

  /**
   * Adds the statistics of other tokens, each counted `weight` times: the result is that of one run over
   * both. Updating formulas of Chan, Golub and LeVeque (1979).
   * @param weight @default 1
   */
  merge(other: StatisticsParts, weight = 1): void {
    const otherCount = other.count * weight;
    const total = this.count + otherCount;
    if (otherCount === 0) return;
    for (let j = 0; j < this.size; j++) {
      const delta = other.mean[j]! - this.mean[j]!;
      this.mean[j]! += (delta * otherCount) / total;
      this.squaredDeviations[j]! +=
        other.squaredDeviations[j]! * weight + ((delta * this.count) / total) * delta * otherCount;
    }
    this.count = total;
    if (this.comoment) mergeComoment(this.comoment, other.comoment!, weight);
  }
}

function emptyComoment(size: number): Comoment {
  return {
    weight: 0,
    mean: new Float64Array(size),
    matrix: new Float64Array((size * (size + 1)) / 2),
  };
}

function comomentOf({ weight, sum, outer }: WeightedSums): Comoment {
  const size = sum.length;
  const comoment = emptyComoment(size);
  const { mean, matrix } = comoment;
  comoment.weight = weight;
  for (let j = 0; j < size; j++) mean[j] = sum[j]! / weight;
  for (let i = 0, at = 0; i < size; i++) {
    const weightedMean = weight * mean[i]!;
    for (let j = 0; j <= i; j++) matrix[at++] = outer[i * size + j]! - weightedMean * mean[j]!;
  }
  return comoment;
}

function mergeComoment(target: Comoment, other: Comoment, weight: number): void {
  const size = target.mean.length;
  const otherWeight = other.weight * weight;
  const total = target.weight + otherWeight;
  const factor = (target.weight * otherWeight) / total;
  const delta = other.mean.map((mean, j) => mean - target.mean[j]!);
  for (let i = 0, at = 0; i < size; i++) {
    const scaled = factor * delta[i]!;
    for (let j = 0; j <= i; j++, at++) {
      target.matrix[at]! += other.matrix[at]! * weight + scaled * delta[j]!;
    }
    target.mean[i]! += (delta[i]! * otherWeight) / total;
  }
  target.weight = total;
}
