import type { BiasRole, LayerTensorRole, ModelConfig, ModelTensorRole } from "./config.ts";
import type { ProjectionRole } from "./layer-spec.ts";

export type Shape = readonly number[];

/** Shape of each tensor that the model's layer has, as its description says. */
export function layerTensorShapes(
  config: ModelConfig,
  layer: number,
): Readonly<Partial<Record<LayerTensorRole | BiasRole, Shape>>> {
  const { hiddenSize, headDim, intermediateSize } = config;
  const { norms, biases } = config.layers[layer]!;
  const queryWidth = config.numHeads * headDim;
  const keyValueWidth = config.numKvHeads * headDim;
  const projections: Record<ProjectionRole, readonly [rows: number, columns: number]> = {
    query: [queryWidth, hiddenSize],
    key: [keyValueWidth, hiddenSize],
    value: [keyValueWidth, hiddenSize],
    output: [hiddenSize, queryWidth],
    gate: [intermediateSize, hiddenSize],
    up: [intermediateSize, hiddenSize],
    down: [hiddenSize, intermediateSize],
  };
  const perHead = (role: string): boolean => role === "queryNorm" || role === "keyNorm";
  return {
    ...projections,
    ...Object.fromEntries(norms.map((role) => [role, [perHead(role) ? headDim : hiddenSize]])),
    ...Object.fromEntries(
      Object.entries(projections)
        .filter(([role]) => biases.some((one) => one === role))
        .map(([role, [rows]]) => [`${role}Bias`, [rows]]),
    ),
  };
}

/** Shape of each tensor outside the layers; the head is absent where it is the embedding. */
export function modelTensorShapes(
  config: ModelConfig,
): Readonly<Partial<Record<ModelTensorRole, Shape>>> {
  const matrix = [config.vocabSize, config.hiddenSize];
  return {
    embedding: matrix,
    finalNorm: [config.hiddenSize],
    ...(config.tiedEmbeddings ? {} : { lmHead: matrix }),
  };
}

/** Numbers in a tensor. */
export function tensorLength(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Weights of the whole model. */
export function numParameters(config: ModelConfig): number {
  const tables = [
    modelTensorShapes(config),
    ...config.layers.map((_, layer) => layerTensorShapes(config, layer)),
  ];
  return tables
    .flatMap((table) => Object.values(table))
    .reduce((sum, shape) => sum + tensorLength(shape), 0);
}
