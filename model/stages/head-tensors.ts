import type { ModelWeights } from "../weights/config.ts";
import type { MatrixRows } from "../weights/matrix-rows.ts";
import type { WeightFormat } from "../weights/quantize.ts";
import { projectionTensor, vectorTensor } from "./stage-tensor.ts";
import type { StageWeights } from "./stage-tensor.ts";

/**
 * The last norm and the LM head of a model whose layers have some format: the same wherever the model is served, judged
 * or measured. In 4 bits the head would cost more quality than all it saves in time.
 */
export function headTensors(weights: ModelWeights, format: WeightFormat): StageWeights {
  const { vocabSize: rows, hiddenSize: columns } = weights.config;
  const stored = weights.storedMatrix?.(null, "lmHead");
  const head: MatrixRows = {
    ...(stored && { stored }),
    rows,
    columns,
    read: (range) => weights.readTensor("lmHead", range),
  };
  return new Map([
    ["final_norm", vectorTensor(weights.readTensor("finalNorm"))],
    ["lm_head", projectionTensor(head, format === "q4" ? "q8" : format)],
  ]);
}
