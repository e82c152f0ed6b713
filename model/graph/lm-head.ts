import type { ModelWeights } from "../weights/config.ts";
import type { GraphBuilder } from "./graph-builder.ts";
import type { WeightFormat } from "../weights/quantize.ts";

/**
 * Writes the LM head of a model whose layers have some format: the same wherever the model is served, judged or
 * measured. In 4 bits it would cost more quality than all it saves in time.
 * @param norm `[.., hiddenSize]`
 * @returns logits `[.., vocabSize]`
 */
export function writeLmHead(
  graph: GraphBuilder,
  weights: ModelWeights,
  norm: string,
  format: WeightFormat,
): string {
  const matrix = weights.readTensor("lmHead");
  const { vocabSize } = weights.config;
  return graph.linear("lm_head", norm, matrix, vocabSize, format === "q4" ? "q8" : format);
}
