import type { ModelConfig, ModelWeights } from "./config.ts";
import type { WeightFormat } from "./quantize.ts";
import { buildStage } from "./stage-graph.ts";
import type { LayerShape, StageModel } from "./stage-graph.ts";

/** Layers at each end that pruning never touches (SEAP protects the first 2 and the last 2). */
const PROTECTED_LAYERS = 2;

/** First layer of the middle and of the head; a model of few layers protects fewer. */
export function stageBorders({ numLayers }: ModelConfig): { middle: number; head: number } {
  const ends = Math.min(PROTECTED_LAYERS, Math.floor((numLayers - 1) / 2));
  return { middle: ends, head: numLayers - ends };
}

/** Embedding and first layers: shared by all experts. */
export function buildTrunk(weights: ModelWeights, format: WeightFormat): StageModel {
  const { middle } = stageBorders(weights.config);
  return buildStage(weights, {
    name: "trunk",
    firstLayer: 0,
    numLayers: middle,
    hasEmbedding: true,
    hasHead: false,
    format,
  });
}

/** The layers between, which are what an expert is. */
export function buildMiddle(
  weights: ModelWeights,
  format: WeightFormat,
  options: { readonly name: string; readonly shapes?: readonly LayerShape[] },
): StageModel {
  const { middle, head } = stageBorders(weights.config);
  return buildStage(weights, {
    ...options,
    firstLayer: middle,
    numLayers: head - middle,
    hasEmbedding: false,
    hasHead: false,
    format,
  });
}

/** Last layers, final norm and LM head: shared by all experts. */
export function buildHead(weights: ModelWeights, format: WeightFormat): StageModel {
  const { head } = stageBorders(weights.config);
  return buildStage(weights, {
    name: "head",
    firstLayer: head,
    numLayers: weights.config.numLayers - head,
    hasEmbedding: false,
    hasHead: true,
    format,
  });
}
