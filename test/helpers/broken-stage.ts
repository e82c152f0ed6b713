import type { StageModel } from "../../model/stages/stage-spec.ts";
import type { PlainTensor } from "../../model/stages/stage-tensor.ts";

/** A stage that no device can make: a norm has fewer values than it says. */
export function brokenStage({ spec, weights }: StageModel): StageModel {
  const name = `layers.${spec.firstLayer}.attentionNorm`;
  const tensor: PlainTensor = {
    kind: "plain",
    shape: [spec.hiddenSize],
    values: new Float32Array(1),
  };
  return { spec, weights: new Map([...weights, [name, tensor]]) };
}
