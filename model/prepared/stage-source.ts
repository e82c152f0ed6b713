import { buildStage } from "../stages/build-stage.ts";
import { denseParts } from "../stages/model-stages.ts";
import type { StageModel } from "../stages/stage-spec.ts";
import type { ModelWeights } from "../weights/config.ts";
import type { WeightFormat } from "../weights/quantize.ts";

/** @param total stages of the model @returns when it is done with the weights, which may be gone then */
export type UseStage = (model: StageModel, total: number) => Promise<void>;

/** Gives the stages of an unpruned model one after the other: trunk, head, and the parts of the middle. */
export type StageSource = (use: UseStage) => Promise<void>;

/**
 * Stages that are built when their turn comes, in this thread.
 * @param name of the middle, whose parts are called `<name>.0` and so on
 */
export function builtStages(
  weights: ModelWeights,
  format: WeightFormat,
  name: string,
): StageSource {
  return async (use) => {
    const parts = denseParts(weights.config, format, name);
    for (const part of parts) {
      await use(buildStage(weights, { ...part, format }), parts.length);
    }
  };
}
