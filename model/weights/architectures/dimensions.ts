import type { ModelConfig } from "../config.ts";

/** What the files of all architectures say of a model, whatever its layers compute. */
export interface ModelDimensions extends Pick<
  ModelConfig,
  | "numLayers"
  | "hiddenSize"
  | "numHeads"
  | "numKvHeads"
  | "headDim"
  | "intermediateSize"
  | "vocabSize"
  | "contextLength"
  | "rmsNormEps"
  | "tiedEmbeddings"
> {
  /** Angles of the rotary embedding, see `ModelConfig.rotaryTables`. */
  readonly rotaryFrequencies: Float32Array;
  /** Positions that windowed layers see; null where the file names none. */
  readonly slidingWindow: number | null;
}

/**
 * The configuration of a model whose layers are all alike and see all positions. Up to the window's length that is the
 * same as the sliding window of early Mistral models; beyond it the results would differ, so the context ends there.
 */
export function uniformConfig(
  architecture: string,
  dimensions: ModelDimensions,
  layer: ModelConfig["layers"][number],
): ModelConfig {
  const { rotaryFrequencies, slidingWindow, ...rest } = dimensions;
  const { numLayers, contextLength } = rest;
  return {
    architecture,
    ...rest,
    contextLength: Math.min(contextLength, slidingWindow ?? contextLength),
    layers: Array.from({ length: numLayers }, () => layer),
    embeddingScale: 1,
    logitScale: 1,
    rotaryTables: [rotaryFrequencies],
  };
}
