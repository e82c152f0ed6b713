import type { ModelConfig, RotaryAngles } from "../config.ts";
import type { LayerDescription } from "../layer-spec.ts";

/** What the files of all architectures say of a model, whatever its layers compute. */
export interface ModelDimensions extends ConfiguredDimensions {
  /** Values of a head that are turned by their position, its first ones. */
  readonly rotarySize: number;
  readonly rotary: RotaryAngles;
  /** Positions that windowed layers see; null where the file names none. */
  readonly slidingWindow: number | null;
}

/** Those that a configuration has too. */
type ConfiguredDimensions = Pick<
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
>;

/** What a model has beyond its dimensions and layers. */
type Extras = Partial<Pick<ModelConfig, "embeddingScale" | "logitScale" | "rotaryTables">>;

/** The configuration of a model whose layers are described one by one. */
export function decoderConfig(
  architecture: string,
  dimensions: ModelDimensions,
  describe: (layer: number) => LayerDescription,
  extras: Extras = {},
): ModelConfig {
  const { numLayers, hiddenSize, numHeads, numKvHeads, headDim, intermediateSize } = dimensions;
  const { vocabSize, contextLength, rmsNormEps, tiedEmbeddings, rotary } = dimensions;
  return {
    ...{ architecture, numLayers, hiddenSize, numHeads, numKvHeads, headDim, intermediateSize },
    ...{ vocabSize, contextLength, rmsNormEps, tiedEmbeddings },
    layers: Array.from({ length: numLayers }, (_, layer) => describe(layer)),
    embeddingScale: 1,
    logitScale: 1,
    rotaryTables: [rotary],
    ...extras,
  };
}

/** A window that is as long as the context is none. */
export function windowWithin({ slidingWindow, contextLength }: ModelDimensions): number | null {
  return slidingWindow !== null && slidingWindow < contextLength ? slidingWindow : null;
}
