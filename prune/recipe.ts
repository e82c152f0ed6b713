import type { ModelConfig, ModelWeights } from "../model/config.ts";
import { createExpertPlan } from "../model/expert-plan.ts";
import type { ExpertPlan } from "../model/expert-plan.ts";
import { stageBorders } from "../model/model-stages.ts";
import { headRows } from "../model/pruned-weights.ts";
import type { Replacements } from "../model/pruned-weights.ts";
import { allocateGlobal, allocateLogistic, allocateUniform } from "./allocation.ts";
import type { Accounting, LayerWidths } from "./allocation.ts";
import { choicesByScore } from "./attention-choices.ts";
import type { AttentionChoice } from "./attention-choices.ts";
import { CalibrationError } from "./errors.ts";
import { maskLayer } from "./masks.ts";
import { choicesByObs, orderChannels } from "./obs.ts";
import { keepColumns, leastSquares } from "./reconstruct.ts";
import type { ReducedProjection } from "./reconstruct.ts";
import { flapGlobalScores, flapScores, headScores, orderByScore } from "./scores.ts";
import { squaredColumnNorms, wandaScores } from "./scores.ts";
import type { ComparableScores } from "./scores.ts";
import type { LayerStatistics } from "./statistics.ts";

/**
 * - `wanda`: Wanda-sp (UL-UM): s_W, the same sparsity everywhere, no compensation;
 * - `flap`: FLAP (AL-AM): s_F, one threshold over all layers, bias compensation;
 * - `seap`: SEAP: s_F, logistic layer sparsity, bias compensation;
 * - `obs`: ours: optimal brain surgeon, logistic layer sparsity, least squares. Needs Gram matrices.
 */
export const methods = ["wanda", "flap", "seap", "obs"] as const;
export type Method = (typeof methods)[number];

export interface RecipeOptions {
  readonly method: Method;
  /** Share to be removed, 0 to 1; of what, see `accounting`. */
  readonly target: number;
  /** @default "parameters" */
  readonly accounting?: Accounting;
  /** Channels of a pruned MLP are a multiple of this. @default 32 */
  readonly channelMultiple?: number;
}

/** Statistics by layer of the model; a profile is one. */
export interface StatisticsReader {
  readLayer(layer: number): LayerStatistics;
}

/** How one layer can be thinned: by heads, and by channels in an order. */
interface LayerOptions {
  readonly attention: readonly AttentionChoice[];
  readonly removalOrder: readonly number[];
  /** For a threshold over all layers. */
  readonly scores: ComparableScores | null;
}

/**
 * Which heads and channels an expert keeps.
 * @throws CalibrationError when the method needs Gram matrices and there are none that can be used.
 */
export function planExpert(
  weights: ModelWeights,
  statistics: StatisticsReader,
  task: string,
  options: RecipeOptions,
): ExpertPlan {
  const { config } = weights;
  const { method, target, accounting = "parameters", channelMultiple = 32 } = options;
  const { middle, head } = stageBorders(config);
  const layers: LayerOptions[] = [];
  for (let layer = middle; layer < head; layer++) {
    layers.push(layerOptions(weights, layer, statistics.readLayer(layer), method));
  }
  const attention = layers.map((layer) => layer.attention);
  const problem = { config, attention, target, channelMultiple };
  let widths: LayerWidths[];
  if (method === "wanda") widths = allocateUniform(problem, accounting);
  else if (method === "flap") {
    const scores = layers.map((layer) => layer.scores!);
    widths = allocateGlobal(problem, accounting, scores);
  } else widths = allocateLogistic(problem, accounting);
  return createExpertPlan(weights, {
    task,
    recipe: { method, target, accounting, channelMultiple },
    layers: widths.map((width, i) =>
      maskLayer(width, config.intermediateSize, layers[i]!.removalOrder),
    ),
  });
}

function layerOptions(
  weights: ModelWeights,
  layer: number,
  { attention, mlp }: LayerStatistics,
  method: Method,
): LayerOptions {
  const { config } = weights;
  const output = weights.readLayerTensor(layer, "output");
  const down = weights.readLayerTensor(layer, "down");
  if (method === "obs") {
    const choices = attention.comoment && choicesByObs(output, attention.comoment, config);
    const order = mlp.comoment && orderChannels(down, mlp.comoment);
    if (!choices || !order) {
      throw new CalibrationError(
        `Layer ${layer}: expected Gram matrices that are positive definite; ` +
          "calibrate with them and with more text.",
      );
    }
    return { attention: choices, removalOrder: withLast(order.order, config), scores: null };
  }
  const score = method === "wanda" ? wandaScores : flapScores;
  const columns = score(attention, squaredColumnNorms(output, attention.size));
  const channels = score(mlp, squaredColumnNorms(down, mlp.size));
  return {
    attention: choicesByScore(headScores(columns, config.headDim), config),
    removalOrder: orderByScore(channels),
    scores: method === "flap" ? flapGlobalScores(columns, channels, config.headDim) : null,
  };
}

/** The surgeon leaves one channel over: it goes last. */
function withLast(order: readonly number[], { intermediateSize }: ModelConfig): number[] {
  const gone = new Set(order);
  const left = Array.from({ length: intermediateSize }, (_, i) => i).filter((i) => !gone.has(i));
  return [...order, ...left];
}

/** What takes the place of output and down projection in an expert, each computed when it is read. */
export function replacementsFor(
  weights: ModelWeights,
  statistics: StatisticsReader,
  plan: ExpertPlan,
  method: Method,
): Replacements {
  if (method === "wanda") return () => null;
  const { middle } = stageBorders(weights.config);
  const cache = new Map<string, ReducedProjection | null>();
  return (layer, role) => {
    const key = `${layer} ${role}`;
    const known = cache.get(key);
    // Matrix and bias are read one after the other: only the last one is kept.
    if (known !== undefined) return known;
    const { keptHeads, keptChannels } = plan.layers[layer - middle]!;
    const kept =
      role === "output" ? headRows(keptHeads, weights.config.headDim) : [...keptChannels];
    const layerStatistics = statistics.readLayer(layer);
    const module = role === "output" ? layerStatistics.attention : layerStatistics.mlp;
    const reduced =
      kept.length === module.size
        ? null
        : reduce(weights.readLayerTensor(layer, role), module, kept, method);
    cache.clear();
    cache.set(key, reduced);
    return reduced;
  };
}

function reduce(
  matrix: Float32Array,
  module: LayerStatistics["mlp"],
  kept: readonly number[],
  method: Method,
): ReducedProjection {
  if (method === "obs" && module.comoment) return leastSquares(matrix, module.comoment, kept);
  return keepColumns(matrix, module.mean, kept);
}
