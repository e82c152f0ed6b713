import type { ExpertPlan, LayerPlan } from "../../model/experts/expert-plan.ts";
import type { EvaluatedModel } from "../../prune/evaluation/result.ts";

/** Share of each layer's parameters that a plan removes, from the middle's first layer on. */
export function layerSparsity(model: EvaluatedModel, plan: ExpertPlan): number[] {
  const { headDim, numHeads, numKvHeads, intermediateSize } = model;
  const parameters = (heads: number, kvHeads: number, channels: number): number =>
    2 * headDim * (heads + kvHeads) + 3 * channels;
  const dense = parameters(numHeads, numKvHeads, intermediateSize);
  return plan.layers.map(
    ({ keptHeads, keptKvHeads, keptChannels }) =>
      1 - parameters(keptHeads.length, keptKvHeads.length, keptChannels.length) / dense,
  );
}

/** Share of MLP channels that a plan keeps, by layer. */
export function keptChannelShares(model: EvaluatedModel, plan: ExpertPlan): number[] {
  return plan.layers.map(({ keptChannels }) => keptChannels.length / model.intermediateSize);
}

/** Kept by both over kept by either, of the channels or heads of all layers; 1 where neither keeps any. */
export function jaccard(
  a: ExpertPlan,
  b: ExpertPlan,
  part: keyof Pick<LayerPlan, "keptChannels" | "keptHeads">,
): number {
  let [both, either] = [0, 0];
  for (const [index, layer] of a.layers.entries()) {
    const kept = new Set(layer[part]);
    const others = b.layers[index]![part];
    const shared = others.filter((channel) => kept.has(channel)).length;
    both += shared;
    either += kept.size + others.length - shared;
  }
  return either === 0 ? 1 : both / either;
}
