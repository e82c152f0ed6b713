import type { ModelWeights } from "../../model/weights/config.ts";
import type { ExpertPlan } from "../../model/experts/expert-plan.ts";
import { stageBorders } from "../../model/stages/model-stages.ts";
import { headRows } from "../../model/experts/pruned-weights.ts";
import type { Replacements } from "../../model/experts/pruned-weights.ts";
import type { StatisticsReader } from "../calibration/mixed-statistics.ts";
import type { Recipe } from "../choice/recipe.ts";
import { keepColumns, leastSquares } from "./reconstruct.ts";
import type { ReducedProjection } from "./reconstruct.ts";

export interface CompensateOptions {
  /** Called after each layer. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Ends the run after the layer it is at, with its reason. */
  readonly signal?: AbortSignal;
}

/**
 * What takes the place of the output and down projections in an expert; all of it is in memory.
 * @throws the signal's reason
 */
export async function compensate(
  weights: ModelWeights,
  statistics: StatisticsReader,
  plan: ExpertPlan,
  compensation: Recipe["compensation"],
  { onProgress, signal }: CompensateOptions = {},
): Promise<Replacements> {
  if (compensation === "none") return () => null;
  const { headDim, numHeads, intermediateSize } = weights.config;
  const { middle } = stageBorders(weights.config);
  const layers: { output: ReducedProjection | null; down: ReducedProjection | null }[] = [];
  for (const { keptHeads, keptChannels } of plan.layers) {
    signal?.throwIfAborted();
    const layer = middle + layers.length;
    const { attention, mlp } = statistics.readLayer(layer);
    const reduce = async (
      role: "output" | "down",
      { mean, comoment }: typeof mlp,
      kept: readonly number[],
    ): Promise<ReducedProjection> => {
      const matrix = weights.readLayerTensor(layer, role);
      return compensation === "leastSquares" && comoment
        ? leastSquares(matrix, comoment, kept)
        : keepColumns(matrix, mean, kept);
    };
    layers.push({
      output:
        keptHeads.length === numHeads
          ? null
          : await reduce("output", attention, headRows(keptHeads, headDim)),
      down:
        keptChannels.length === intermediateSize ? null : await reduce("down", mlp, keptChannels),
    });
    onProgress?.(layers.length, plan.layers.length);
  }
  return (layer, role) => layers[layer - middle]![role];
}
