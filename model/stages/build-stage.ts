import type { ModelConfig, ModelWeights } from "../weights/config.ts";
import { denseShape } from "../weights/layer-spec.ts";
import type { LayerShape } from "../weights/layer-spec.ts";
import type { MatrixRows } from "../weights/matrix-rows.ts";
import type { WeightFormat } from "../weights/quantize.ts";
import { headTensors } from "./head-tensors.ts";
import { layerTensors } from "./layer-tensors.ts";
import type { StageModel, StageSpec } from "./stage-spec.ts";
import { tableTensor } from "./stage-tensor.ts";
import type { StageTensor } from "./stage-tensor.ts";

export interface StagePart {
  readonly name: string;
  readonly firstLayer: number;
  readonly numLayers: number;
  /** Widths of the stage's layers. @default the model's own */
  readonly shapes?: readonly LayerShape[];
  readonly hasEmbedding: boolean;
  readonly hasHead: boolean;
  /** @default false */
  readonly isContinued?: boolean;
}

export interface StageOptions extends StagePart {
  readonly format: WeightFormat;
}

/** What a part of a model computes. */
export function stageSpec(config: ModelConfig, part: StagePart): StageSpec {
  const { name, firstLayer, numLayers, shapes, hasEmbedding, hasHead, isContinued = false } = part;
  const { headDim, hiddenSize, vocabSize, rmsNormEps, embeddingScale, logitScale } = config;
  const layers = config.layers
    .slice(firstLayer, firstLayer + numLayers)
    .map((description, index) => ({
      ...description,
      ...(shapes?.[index] ?? denseShape(config)),
    }));
  return {
    ...{ name, firstLayer, layers, headDim, hiddenSize, vocabSize, rmsNormEps },
    ...{ embeddingScale, logitScale },
    ...{ hasEmbedding, hasHead, isContinued },
  };
}

/** A part of a model with its weights. */
export function buildStage(weights: ModelWeights, { format, ...part }: StageOptions): StageModel {
  const spec = stageSpec(weights.config, part);
  const tensors = new Map<string, StageTensor>();
  if (spec.hasEmbedding) {
    const stored = weights.storedMatrix?.(null, "embedding");
    const embedding: MatrixRows = {
      ...(stored && { stored }),
      rows: spec.vocabSize,
      columns: spec.hiddenSize,
      read: (range) => weights.readTensor("embedding", range),
    };
    tensors.set("embedding", tableTensor(embedding, format));
  }
  for (const [index, layer] of spec.layers.entries()) {
    const named = layerTensors(weights, spec.firstLayer + index, layer, format);
    for (const [name, tensor] of named) tensors.set(name, tensor);
  }
  if (spec.hasHead) {
    for (const [name, tensor] of headTensors(weights, format)) tensors.set(name, tensor);
  }
  return { spec, weights: tensors };
}
