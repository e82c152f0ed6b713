import { buildStage } from "../stages/build-stage.ts";
import { denseParts } from "../stages/model-stages.ts";
import type { StageModel } from "../stages/stage-spec.ts";
import type { ModelWeights } from "../weights/config.ts";
import type { WeightFormat } from "../weights/quantize.ts";

/** Gives the stages of an unpruned model one after the other: trunk, head, and the parts of the middle.
 * The weights of one may be gone when `use` has ended. */
export type StageSource = (use: (model: StageModel) => Promise<void>) => Promise<void>;

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
    for (const part of denseParts(weights.config, format, name)) {
      await use(buildStage(weights, { ...part, format }));
    }
  };
}
