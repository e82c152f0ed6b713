import type { ModelConfig, ModelWeights } from "../weights/config.ts";
import { storedBytes } from "../weights/quantize.ts";
import type { WeightFormat } from "../weights/quantize.ts";
import { denseShape } from "../weights/layer-spec.ts";
import type { LayerShape } from "../weights/layer-spec.ts";
import { buildStage } from "./build-stage.ts";
import type { StageModel } from "./stage-spec.ts";
import { tensorBytes } from "./stage-tensor.ts";

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

/**
 * Loading holds up its thread for 3 ms a megabyte, so that one segment costs the sequences that run meanwhile a
 * tenth of a second.
 */
const segmentBytes = 32 * 2 ** 20;

export interface MiddleSegmentsOptions {
  readonly name: string;
  readonly shapes?: readonly LayerShape[];
  /** Weights of a segment of more than one layer. @default 32 MiB */
  readonly maxSegmentBytes?: number;
}

/** The middle as consecutive stages of whole layers, each as many as fit; each gives the next its hidden states. */
export function buildMiddleSegments(
  weights: ModelWeights,
  format: WeightFormat,
  { name, shapes, maxSegmentBytes = segmentBytes }: MiddleSegmentsOptions,
): StageModel[] {
  const { config } = weights;
  const { middle, head } = stageBorders(config);
  const ofLayer = (index: number) => shapes?.[index] ?? denseShape(config);
  const segments: StageModel[] = [];
  for (let start = 0; start < head - middle;) {
    const layers: LayerShape[] = [];
    let size = 0;
    while (start + layers.length < head - middle) {
      const shape = ofLayer(start + layers.length);
      size += layerBytes(config, shape, format);
      if (layers.length > 0 && size > maxSegmentBytes) break;
      layers.push(shape);
    }
    segments.push(
      buildStage(weights, {
        name: `${name}.${segments.length}`,
        firstLayer: middle + start,
        numLayers: layers.length,
        shapes: layers,
        hasEmbedding: false,
        hasHead: false,
        isContinued: segments.length > 0,
        format,
      }),
    );
    start += layers.length;
  }
  return segments;
}

/** Bytes of the weights of several stages. */
export function totalBytes(stages: readonly StageModel[]): number {
  let sizeBytes = 0;
  for (const { weights } of stages) {
    for (const tensor of weights.values()) sizeBytes += tensorBytes(tensor);
  }
  return sizeBytes;
}

/** Weights of a layer in a stage, with a bias for each module. */
function layerBytes(config: ModelConfig, shape: LayerShape, format: WeightFormat): number {
  const { hiddenSize, headDim } = config;
  const { numHeads, numKvHeads, intermediateSize } = shape;
  const attention =
    storedBytes((numHeads + 2 * numKvHeads) * headDim, hiddenSize, format) +
    storedBytes(hiddenSize, numHeads * headDim, format);
  const mlp =
    storedBytes(2 * intermediateSize, hiddenSize, format) +
    storedBytes(hiddenSize, intermediateSize, format);
  const vectors = 4 * storedBytes(1, hiddenSize, "f32");
  return attention + mlp + vectors;
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
