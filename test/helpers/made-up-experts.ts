import type { ExecutionContext } from "ava";
import type { Stage } from "../../engine/device/device.ts";
import type { ModelWeights } from "../../model/weights/config.ts";
import { createExpertPlan, planShapes } from "../../model/experts/expert-plan.ts";
import type { ExpertPlan, LayerPlan } from "../../model/experts/expert-plan.ts";
import { buildMiddleSegments, stageBorders } from "../../model/stages/model-stages.ts";
import { prunedWeights } from "../../model/experts/pruned-weights.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import type { StageModel } from "../../model/stages/stage-spec.ts";
import type { LoadedStages } from "./loop-run.ts";

/** Enough layers that a middle has three, of the default widths of a tiny model. */
export const expertModel = { numLayers: 7 } as const;

/** A plan that keeps about two thirds of a tiny model's middle; other numbers keep other parts. */
export function tinyPlan(weights: ModelWeights, task: string, number: number): ExpertPlan {
  const { middle, head } = stageBorders(weights.config);
  const layers = Array.from({ length: head - middle }, (_, layer): LayerPlan => {
    const choice = number + layer;
    const first = 16 * (choice % 3);
    return {
      keptHeads: choice % 2 === 0 ? [choice % 4 === 0 ? 0 : 1, 3] : [0, 1, 2, 3],
      keptKvHeads: [0, 1],
      keptChannels: Array.from({ length: 64 }, (_, i) => (first + i + (number >> 1)) % 96).sort(
        (a, b) => a - b,
      ),
    };
  });
  return createExpertPlan(weights, { task, recipe: { number }, layers });
}

/** The middle of an expert that nobody would use, in a segment for each layer. */
export function tinySegments(
  weights: ModelWeights,
  format: WeightFormat,
  plan: ExpertPlan,
  maxSegmentBytes = 1,
): StageModel[] {
  const shapes = planShapes(plan);
  const options = { name: plan.task, shapes, maxSegmentBytes };
  return buildMiddleSegments(prunedWeights(weights, plan), format, options);
}

export async function loadSegments(
  t: ExecutionContext,
  { device }: LoadedStages,
  segments: readonly StageModel[],
): Promise<Stage[]> {
  const stages: Stage[] = [];
  for (const segment of segments) stages.push(await device.loadStage(segment));
  t.teardown(async () => {
    for (const stage of stages) await stage.dispose();
  });
  return stages;
}

/** Several experts of a model, loaded; expert `i` is called by the `i`th name. */
export async function loadExperts(
  t: ExecutionContext,
  loaded: LoadedStages,
  format: WeightFormat,
  names: readonly string[],
): Promise<Map<string, Stage[]>> {
  const experts = new Map<string, Stage[]>();
  for (const [i, name] of names.entries()) {
    const segments = tinySegments(loaded.weights, format, tinyPlan(loaded.weights, name, i));
    experts.set(name, await loadSegments(t, loaded, segments));
  }
  return experts;
}
