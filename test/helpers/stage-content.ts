import { describeTensor } from "../../model/stages/segment-file.ts";
import type { StageModel } from "../../model/stages/stage-spec.ts";
import { tensorParts } from "../../model/stages/stage-tensor.ts";

/** A stage's description and values, to be compared wherever these lie. */
export function stageContent({ spec, weights }: StageModel) {
  return {
    spec,
    weights: Array.from(weights, ([name, tensor]) => ({
      ...describeTensor(name, tensor),
      parts: tensorParts(tensor).map(([suffix, data]) => [suffix, data.slice()] as const),
    })),
  };
}
