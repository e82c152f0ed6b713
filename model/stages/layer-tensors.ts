import type { LayerTensorRole, ModelWeights } from "../weights/config.ts";
import type { LayerSpec, NormRole, ProjectionRole } from "../weights/layer-spec.ts";
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
  { numHeads, intermediateSize, norms, scoreScale }: LayerSpec,
  format: WeightFormat,
): Generator<NamedTensor> {
  const { hiddenSize } = weights.config;
  const path = `layers.${layer}`;
  const read = (role: LayerTensorRole): Float32Array => weights.readLayerTensor(layer, role);
  const bias = (role: ProjectionRole): Float32Array | null =>
    weights.readLayerBias(layer, `${role}Bias`);
  const norm = function* (role: NormRole, scale = 1): Generator<NamedTensor> {
    if (!norms.includes(role)) return;
    yield [`${path}.${role}`, vectorTensor(scaled(read(role), scale))];
  };
  /** Matrices that read the same, the first of them with a scale. */
  const packed = function* (
    name: string,
    roles: readonly ProjectionRole[],
    scale = 1,
  ): Generator<NamedTensor> {
    const scaleOf = (index: number): number => (index === 0 ? scale : 1);
    const matrices = roles.map((role, index) => scaled(read(role), scaleOf(index)));
    const biases = roles.map((role, index) => {
      const rows = matrices[index]!.length / hiddenSize;
      return scaled(bias(role) ?? new Float32Array(rows), scaleOf(index));
    });
    if (roles.some((role) => bias(role))) {
      yield [`${path}.${name}.bias`, vectorTensor(concatenate(biases))];
    }
    const matrix = concatenate(matrices);
    yield [`${path}.${name}`, projectionTensor(matrix, matrix.length / hiddenSize, format)];
  };
  const constant = function* (name: string, role: ProjectionRole): Generator<NamedTensor> {
    const values = bias(role);
    if (values) yield [`${path}.${name}`, vectorTensor(values)];
  };
  const intoStream = function* (role: "output" | "down"): Generator<NamedTensor> {
    yield* constant(`${role}.bias`, role);
    yield [`${path}.${role}`, projectionTensor(read(role), hiddenSize, format)];
  };

  if (numHeads > 0) {
    yield* norm("attentionNorm");
    // A norm of the queries would take their scale away again.
    const hasQueryNorm = norms.includes("queryNorm");
    yield* packed("qkv", ["query", "key", "value"], hasQueryNorm ? 1 : scoreScale);
    yield* norm("queryNorm", scoreScale);
    yield* norm("keyNorm");
    yield* intoStream("output");
    yield* norm("attentionPostNorm");
  } else {
    yield* constant("outputBias", "output");
  }
  if (intermediateSize > 0) {
    yield* norm("mlpNorm");
    yield* packed("gate_up", ["gate", "up"]);
    yield* intoStream("down");
    yield* norm("mlpPostNorm");
  } else {
    yield* constant("downBias", "down");
  }
}

function scaled(values: Float32Array, scale: number): Float32Array {
  return scale === 1 ? values : values.map((value) => value * scale);
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
