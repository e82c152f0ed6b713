import type { ExpertPlan } from "../../model/experts/expert-plan.ts";
import type { WirePlan } from "../wire/expert-plan.ts";
import type { MiddleShape } from "./model-service.ts";

/** A plan as `/v1/experts/{task}/plan` spells it. */
export function toWirePlan(
  task: string,
  plan: ExpertPlan,
  { firstLayer, layer }: MiddleShape,
): WirePlan {
  return {
    object: "expert_plan",
    task,
    recipe: plan.recipe,
    sparsity: plan.sparsity,
    first_layer: firstLayer,
    dense: {
      heads: layer.numHeads,
      kv_heads: layer.numKvHeads,
      channels: layer.intermediateSize,
    },
    layers: plan.layers.map(({ keptHeads, keptKvHeads, keptChannels }) => ({
      kept_heads: keptHeads,
      kept_kv_heads: keptKvHeads,
      kept_channels: keptChannels,
    })),
  };
}
