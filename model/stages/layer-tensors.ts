import type { ModelWeights } from "../weights/config.ts";
import type { LayerSpec, NormRole, ProjectionRole } from "../weights/layer-spec.ts";
import { concatenate, scaled, scaledMatrix, stackedRows } from "../weights/matrix-rows.ts";
import type { MatrixRows } from "../weights/matrix-rows.ts";
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
  { numHeads, numKvHeads, intermediateSize, norms, scoreScale }: LayerSpec,
  format: WeightFormat,
): Generator<NamedTensor> {
  const { hiddenSize, headDim } = weights.config;
  const path = `layers.${layer}`;
  const read = (role: NormRole): Float32Array => weights.readLayerTensor(layer, role);
  const bias = (role: ProjectionRole): Float32Array | null =>
    weights.readLayerBias(layer, `${role}Bias`);
  const norm = function* (role: NormRole, scale = 1): Generator<NamedTensor> {
    if (!norms.includes(role)) return;
    yield [`${path}.${role}`, vectorTensor(scaled(read(role), scale))];
  };
  /** A matrix as it is read, row by row. */
  const rowsOf = (role: ProjectionRole, rows: number, columns: number, scale = 1): MatrixRows => {
    const stored = weights.storedMatrix?.(layer, role);
    return {
      ...{ rows, columns },
      ...(stored && { stored: scaledMatrix(stored, scale) }),
      read: (range) => scaled(weights.readLayerTensor(layer, role, range), scale),
    };
  };
  /** Matrices that read the same, the first of them with a scale. */
  const packed = function* (
    name: string,
    parts: readonly (readonly [role: ProjectionRole, rows: number])[],
    scale = 1,
  ): Generator<NamedTensor> {
    const scaleOf = (index: number): number => (index === 0 ? scale : 1);
    if (parts.some(([role]) => bias(role))) {
      const biases = parts.map(([role, rows], index) =>
        scaled(bias(role) ?? new Float32Array(rows), scaleOf(index)),
      );
      yield [`${path}.${name}.bias`, vectorTensor(concatenate(biases))];
    }
    const matrices = parts.map(([role, rows], index) =>
      rowsOf(role, rows, hiddenSize, scaleOf(index)),
    );
    yield [`${path}.${name}`, projectionTensor(stackedRows(matrices), format)];
  };
  const constant = function* (name: string, role: ProjectionRole): Generator<NamedTensor> {
    const values = bias(role);
    if (values) yield [`${path}.${name}`, vectorTensor(values)];
  };
  const intoStream = function* (role: "output" | "down", columns: number): Generator<NamedTensor> {
    yield* constant(`${role}.bias`, role);
    const matrix = rowsOf(role, hiddenSize, columns);
    yield [`${path}.${role}`, projectionTensor(matrix, format)];
  };

  if (numHeads > 0) {
    yield* norm("attentionNorm");
    // A norm of the queries would take their scale away again.
    const hasQueryNorm = norms.includes("queryNorm");
    const kvRows = numKvHeads * headDim;
    yield* packed(
      "qkv",
      [
        ["query", numHeads * headDim],
        ["key", kvRows],
        ["value", kvRows],
      ],
      hasQueryNorm ? 1 : scoreScale,
    );
    yield* norm("queryNorm", scoreScale);
    yield* norm("keyNorm");
    yield* intoStream("output", numHeads * headDim);
    yield* norm("attentionPostNorm");
  } else {
    yield* constant("outputBias", "output");
  }
  if (intermediateSize > 0) {
    yield* norm("mlpNorm");
    yield* packed("gate_up", [
      ["gate", intermediateSize],
      ["up", intermediateSize],
    ]);
    yield* intoStream("down", intermediateSize);
    yield* norm("mlpPostNorm");
  } else {
    yield* constant("downBias", "down");
  }
}
