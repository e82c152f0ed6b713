import type { BiasRole, LayerTensorRole, ModelWeights } from "../weights/config.ts";
import type { LayerSpec } from "../weights/layer-spec.ts";
import type { WeightFormat } from "../weights/quantize.ts";
import { projectionTensor, vectorTensor } from "./stage-tensor.ts";
import type { StageTensor } from "./stage-tensor.ts";

type NamedTensor = readonly [name: string, tensor: StageTensor];

/**
 * The weights of one layer, as `StageSpec` names them: matrices that read the same are packed into one.
 * @param layer place in the model
 */
export function* layerTensors(
  weights: ModelWeights,
  layer: number,
  { numHeads, intermediateSize, scoreScale }: LayerSpec,
  format: WeightFormat,
): Generator<NamedTensor> {
  const { hiddenSize } = weights.config;
  const path = `layers.${layer}`;
  const read = (role: LayerTensorRole): Float32Array => weights.readLayerTensor(layer, role);
  const norm = (role: LayerTensorRole): NamedTensor => [
    `${path}.${role}`,
    vectorTensor(read(role)),
  ];
  const packed = (name: string, ...parts: readonly Float32Array[]): NamedTensor => {
    const matrix = concatenate(parts);
    return [`${path}.${name}`, projectionTensor(matrix, matrix.length / hiddenSize, format)];
  };
  const bias = function* (name: string, role: BiasRole): Generator<NamedTensor> {
    const values = weights.readLayerBias(layer, role);
    if (values) yield [`${path}.${name}`, vectorTensor(values)];
  };
  const intoStream = function* (role: "output" | "down"): Generator<NamedTensor> {
    yield* bias(`${role}.bias`, `${role}Bias`);
    yield [`${path}.${role}`, projectionTensor(read(role), hiddenSize, format)];
  };

  if (numHeads > 0) {
    yield norm("attentionNorm");
    const query = read("query").map((value) => value * scoreScale);
    yield packed("qkv", query, read("key"), read("value"));
    yield* intoStream("output");
  } else {
    yield* bias("outputBias", "outputBias");
  }
  if (intermediateSize > 0) {
    yield norm("mlpNorm");
    yield packed("gate_up", read("gate"), read("up"));
    yield* intoStream("down");
  } else {
    yield* bias("downBias", "downBias");
  }
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}
