import { stageBorders } from "../../model/stages/model-stages.ts";
import type { ModelConfig } from "../../model/weights/config.ts";
import { attentionParameters } from "./attention-choices.ts";
import type { AttentionChoice } from "./attention-choices.ts";
import type { ComparableScores } from "./scores.ts";

/** What the layers of the middle may be cut to, and how much is to go. */
export interface AllocationProblem {
  readonly config: ModelConfig;
  /** Choices of each layer of the middle, from all heads to none. */
  readonly attention: readonly (readonly AttentionChoice[])[];
  /** Share of the query, key, value, output, gate, up and down parameters of the middle to be removed, 0 to 1. */
  readonly target: number;
  /** Channels of a pruned MLP are a multiple of this: 32 or 64 suit the quantised kernels. */
  readonly channelMultiple: number;
}

/** Widths of one layer of the middle. */
export interface LayerWidths {
  readonly attention: AttentionChoice;
  readonly numChannels: number;
}

/** Shares of a layer's heads and channels to be removed, 0 to 1. */
interface LayerRates {
  readonly attention: number;
  readonly mlp: number;
}

export interface LogisticOptions {
  /** k. @default 1 */
  readonly steepness?: number;
  /** x0. @default 0.3 */
  readonly midpoint?: number;
}

/**
 * SEAP's logistic sparsity: layer l of L loses rho_l = Λ / (1 + exp(-k (x_l - x0))) with x_l = l / (L - 1), heads
 * and channels alike; Λ by bisection. The protected layers lose nothing. What rounding down to whole heads takes is made
 * up for with channels.
 */
export function allocateLogistic(
  problem: AllocationProblem,
  { steepness = 1, midpoint = 0.3 }: LogisticOptions = {},
): LayerWidths[] {
  const shape = logisticShape(problem.config, { steepness, midpoint });
  const largest = 1 / Math.max(1e-30, Math.min(...shape));
  return fit(problem, largest, (scale) =>
    shape.map((value) => {
      const rate = Math.min(1, scale * value);
      return { attention: rate, mlp: rate };
    }),
  );
}

/** rho_l / Λ of each layer of the middle. */
export function logisticShape(
  config: ModelConfig,
  { steepness, midpoint }: Required<LogisticOptions>,
): number[] {
  const { middle, head } = stageBorders(config);
  return Array.from({ length: head - middle }, (_, i) => {
    const x = (middle + i) / (config.numLayers - 1);
    return 1 / (1 + Math.exp(-steepness * (x - midpoint)));
  });
}

/** The same sparsity in every layer and module (UL-UM, as Wanda-sp is pruned in FLAP). */
export function allocateUniform(problem: AllocationProblem): LayerWidths[] {
  return fit(problem, 1, (rate) => problem.attention.map(() => ({ attention: rate, mlp: rate })));
}

/**
 * FLAP's global threshold (AL-AM): heads and channels of all layers compete, each counting with its parameters,
 * and those at or below the threshold go.
 * @param scores per layer of the middle, on one scale
 */
export function allocateGlobal(
  problem: AllocationProblem,
  scores: readonly ComparableScores[],
): LayerWidths[] {
  const all = Float64Array.from(scores.flatMap(({ heads, channels }) => [...heads, ...channels]));
  all.sort();
  const shareUpTo = (values: Float64Array, threshold: number) =>
    values.reduce((count, value) => count + (value <= threshold ? 1 : 0), 0) / values.length;
  return fit(problem, all.length, (position) => {
    const count = Math.floor(position);
    const threshold = count === 0 ? -Infinity : all[count - 1]!;
    return scores.map(({ heads, channels }) => ({
      attention: shareUpTo(heads, threshold),
      mlp: shareUpTo(channels, threshold),
    }));
  });
}

/** Parameters that a list of widths leaves in the middle. */
export function keptParameters(config: ModelConfig, layers: readonly LayerWidths[]): number {
  return layers.reduce(
    (sum, { attention, numChannels }) =>
      sum + attention.parameters + numChannels * channelParameters(config),
    0,
  );
}

/** Parameters of one MLP channel: a row of gate and of up, a column of down. */
export function channelParameters({ hiddenSize }: ModelConfig): number {
  return 3 * hiddenSize;
}

/** Prunable parameters of one dense layer. */
export function layerParameters(config: ModelConfig): number {
  const attention = attentionParameters(config, config.numHeads, config.numKvHeads);
  return attention + config.intermediateSize * channelParameters(config);
}

/** Channel counts a layer may have, falling: all, then multiples, then none. */
export function channelSteps({ intermediateSize }: ModelConfig, multiple: number): number[] {
  const steps = [intermediateSize];
  const largest = (Math.ceil(intermediateSize / multiple) - 1) * multiple;
  for (let count = largest; count >= 0; count -= multiple) steps.push(count);
  return steps;
}

/** Finds the largest parameter of `ratesAt`, which removes more the larger it is, that meets the target. */
function fit(
  problem: AllocationProblem,
  largest: number,
  ratesAt: (parameter: number) => readonly LayerRates[],
): LayerWidths[] {
  const removedAt = (parameter: number) =>
    removedShare(problem, realise(problem, ratesAt(parameter)));
  let [low, high] = [0, largest];
  while (high - low > 1e-12 * Math.max(1, high)) {
    const between = (low + high) / 2;
    if (removedAt(between) <= problem.target) low = between;
    else high = between;
  }
  const offLow = problem.target - removedAt(low);
  const offHigh = removedAt(high) - problem.target;
  const rates = ratesAt(problem.target > 0 && offHigh < offLow ? high : low);
  return makeUp(problem, rates, realise(problem, rates));
}

function removedShare({ config }: AllocationProblem, layers: readonly LayerWidths[]): number {
  return 1 - keptParameters(config, layers) / (layers.length * layerParameters(config));
}

/** Rounds down what is removed of heads, and channels to the nearest multiple. */
function realise(problem: AllocationProblem, rates: readonly LayerRates[]): LayerWidths[] {
  const { config, channelMultiple: multiple } = problem;
  const { intermediateSize } = config;
  return rates.map((rate, i) => {
    const choices = problem.attention[i]!;
    const most = choices[0]!.parameters * (1 - rate.attention) - 1e-6;
    const attention = choices.findLast(({ parameters }) => parameters >= most)!;
    // Shares such as 3 / 7 of 7 channels must not lose one to rounding.
    const removed = Math.floor(rate.mlp * intermediateSize + 1e-6);
    const rounded = Math.round((intermediateSize - removed) / multiple) * multiple;
    const numChannels = removed === 0 ? intermediateSize : Math.min(rounded, intermediateSize);
    return { attention, numChannels };
  });
}

/** Moves single steps of channels, where they are farthest from the wanted rate, until the target is met. */
function makeUp(
  problem: AllocationProblem,
  rates: readonly LayerRates[],
  layers: readonly LayerWidths[],
): LayerWidths[] {
  const { config, target, channelMultiple } = problem;
  const steps = channelSteps(config, channelMultiple);
  const at = layers.map(({ numChannels }) => steps.indexOf(numChannels));
  const budget = (1 - target) * layers.length * layerParameters(config);
  const perChannel = channelParameters(config);
  let surplus = keptParameters(config, layers) - budget;
  for (;;) {
    const direction = surplus > 0 ? 1 : -1;
    let best = -1;
    let bestGap = -Infinity;
    for (const [i, rate] of rates.entries()) {
      const next = steps[at[i]! + direction];
      // A module goes as a whole only when its rate says so.
      if (next === undefined || (next === 0 && rate.mlp < 1) || rate.mlp === 0) continue;
      const wanted = config.intermediateSize * (1 - rate.mlp);
      const gap = (steps[at[i]!]! - wanted) * direction;
      if (gap > bestGap) [best, bestGap] = [i, gap];
    }
    if (best < 0) break;
    const change = (steps[at[best]! + direction]! - steps[at[best]!]!) * perChannel;
    if (Math.abs(surplus + change) >= Math.abs(surplus)) break;
    surplus += change;
    at[best]! += direction;
  }
  return layers.map(({ attention }, i) => ({ attention, numChannels: steps[at[i]!]! }));
}
