import type { ModelConfig, ModelWeights } from "../weights/config.ts";
import { storedBytes } from "../weights/quantize.ts";
import type { WeightFormat } from "../weights/quantize.ts";
import { denseShape } from "../weights/layer-spec.ts";
import type { LayerShape } from "../weights/layer-spec.ts";
import { buildStage } from "./build-stage.ts";
import type { StagePart } from "./build-stage.ts";
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
  return buildStage(weights, { ...trunkPart(weights.config), format });
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
  return buildStage(weights, { ...headPart(weights.config), format });
}

/**
 * What holds up the sequences that run: loading takes its thread 3 ms a megabyte, and a segment is the least of a prompt's
 * chunk that prefill can compute between two of their tokens. Each segment costs a decode step up to a tenth of a millisecond.
 */
const segmentBytes = 16 * 2 ** 20;

export interface MiddleSegmentsOptions {
  readonly name: string;
  readonly shapes?: readonly LayerShape[];
  /** Weights of a segment of more than one layer. @default 16 MiB */
  readonly maxSegmentBytes?: number;
}

/** The middle as consecutive stages of whole layers, each as many as fit; each gives the next its hidden states. */
export function buildMiddleSegments(
  weights: ModelWeights,
  format: WeightFormat,
  options: MiddleSegmentsOptions,
): StageModel[] {
  const parts = middleParts(weights.config, format, options);
  return parts.map((part) => buildStage(weights, { ...part, format }));
}

/**
 * The unpruned model: trunk, head, and the segments of the middle. The largest are first, when little else is in memory:
 * a stage that is loaded is there two or three times for a moment.
 */
export function denseParts(config: ModelConfig, format: WeightFormat, name: string): StagePart[] {
  const segments = middleParts(config, format, { name });
  return [trunkPart(config), headPart(config), ...segments];
}

function trunkPart(config: ModelConfig): StagePart {
  const { middle } = stageBorders(config);
  return { name: "trunk", firstLayer: 0, numLayers: middle, hasEmbedding: true, hasHead: false };
}

function headPart(config: ModelConfig): StagePart {
  const { head } = stageBorders(config);
  return {
    name: "head",
    firstLayer: head,
    numLayers: config.numLayers - head,
    hasEmbedding: false,
    hasHead: true,
  };
}

function middleParts(
  config: ModelConfig,
  format: WeightFormat,
  { name, shapes, maxSegmentBytes = segmentBytes }: MiddleSegmentsOptions,
): StagePart[] {
  const { middle, head } = stageBorders(config);
  const ofLayer = (index: number) => shapes?.[index] ?? denseShape(config);
  const parts: StagePart[] = [];
  for (let start = 0; start < head - middle;) {
    const layers: LayerShape[] = [];
    let size = 0;
    while (start + layers.length < head - middle) {
      const shape = ofLayer(start + layers.length);
      size += layerBytes(config, shape, format);
      if (layers.length > 0 && size > maxSegmentBytes) break;
      layers.push(shape);
    }
    parts.push({
      name: `${name}.${parts.length}`,
      firstLayer: middle + start,
      numLayers: layers.length,
      shapes: layers,
      hasEmbedding: false,
      hasHead: false,
      isContinued: parts.length > 0,
    });
    start += layers.length;
  }
  return parts;
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
