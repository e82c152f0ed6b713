import { createHash } from "node:crypto";
import type {
  BiasRole,
  LayerTensorRole,
  ModelConfig,
  ModelTensorRole,
  ModelWeights,
  RotaryAngles,
} from "../../model/weights/config.ts";
import { plainLayer } from "../../model/weights/layer-spec.ts";
import { plainAngles, plainRopeFrequencies } from "../../model/weights/rope.ts";
import type {
  LayerDescription,
  LayerShape,
  ProjectionRole,
} from "../../model/weights/layer-spec.ts";

export interface TinyModelOptions {
  /** @default "llama" */
  readonly architecture?: string;
  /** @default 1e-5 */
  readonly rmsNormEps?: number;
  /** @default 5 */
  readonly numLayers?: number;
  /** A multiple of 32. @default 64 */
  readonly hiddenSize?: number;
  /** @default 4 */
  readonly numHeads?: number;
  /** @default 2 */
  readonly numKvHeads?: number;
  /** Even; `numHeads * headDim` is a multiple of 32. @default 16 */
  readonly headDim?: number;
  /** A multiple of 32. @default 96 */
  readonly intermediateSize?: number;
  /** @default 256 */
  readonly vocabSize?: number;
  /** @default 2048 */
  readonly contextLength?: number;
  /** Of the first rotary table. @default 10000 */
  readonly ropeTheta?: number;
  /** @default false */
  readonly ropeInterleaved?: boolean;
  /** @default true */
  readonly tiedEmbeddings?: boolean;
  /** Widths per layer, as after pruning, instead of the same for all. */
  readonly layerShapes?: readonly LayerShape[];
  /** What a layer computes, where that is not what one of Llama does; by its number. */
  readonly describe?: (layer: number) => Partial<LayerDescription>;
  /** Instead of a plain one of `ropeTheta`. */
  readonly firstTable?: RotaryAngles;
  /** Frequencies of further rotary tables, by the number of pairs and theta. */
  readonly moreTables?: readonly (readonly [numPairs: number, theta: number])[];
  /** @default 1 */
  readonly embeddingScale?: number;
  /** @default 1 */
  readonly logitScale?: number;
  /** Multiplies the logits: with a large one the model is sure of what it says. @default 1 */
  readonly logitGain?: number;
  /** @default 1 */
  readonly seed?: number;
}

const modelRoles: readonly ModelTensorRole[] = ["embedding", "finalNorm", "lmHead"];
const projectionRoles = ["query", "key", "value", "output", "gate", "up", "down"] as const;

/** Each has random values of its own; the first nine are those of Llama. */
const layerRoles: readonly (LayerTensorRole | BiasRole)[] = [
  "attentionNorm",
  "query",
  "key",
  "value",
  "output",
  "mlpNorm",
  "gate",
  "up",
  "down",
  "queryNorm",
  "keyNorm",
  "attentionPostNorm",
  "mlpPostNorm",
  ...projectionRoles.map((role) => `${role}Bias` as const),
];

/** Roles of a layer of Llama. */
const numPlainRoles = 9;

/**
 * A model of random weights that fits in memory, the same for the same options. Scaled so that the
 * most likely token depends on the whole context and seldom has a close second.
 */
export function tinyModel(options: TinyModelOptions = {}): ModelWeights {
  const { ropeTheta = 10_000, seed = 1 } = options;
  const headDim = options.headDim ?? 16;
  const numLayers = options.numLayers ?? 5;
  const ropeInterleaved = options.ropeInterleaved ?? false;
  const plain = plainLayer({ headDim, isInterleaved: ropeInterleaved });
  const config: ModelConfig = {
    architecture: options.architecture ?? "llama",
    numLayers,
    layers: Array.from({ length: numLayers }, (_, layer) => ({
      ...plain,
      ...options.describe?.(layer),
    })),
    hiddenSize: options.hiddenSize ?? 64,
    numHeads: options.numHeads ?? 4,
    numKvHeads: options.numKvHeads ?? 2,
    headDim,
    intermediateSize: options.intermediateSize ?? 96,
    vocabSize: options.vocabSize ?? 256,
    contextLength: options.contextLength ?? 2048,
    rmsNormEps: options.rmsNormEps ?? 1e-5,
    embeddingScale: options.embeddingScale ?? 1,
    logitScale: options.logitScale ?? 1,
    rotaryTables: [
      options.firstTable ?? plainAngles(plainRopeFrequencies(headDim, ropeTheta)),
      ...(options.moreTables ?? []).map(([pairs, theta]) =>
        plainAngles(plainRopeFrequencies(2 * pairs, theta)),
      ),
    ],
    tiedEmbeddings: options.tiedEmbeddings ?? true,
  };
  const { hiddenSize, vocabSize } = config;

  /** Standard deviation `gain / sqrt(inFeatures)`: an input of unit variance gives `gain`. */
  const matrix = (tensor: number, numRows: number, inFeatures: number, gain: number) =>
    randomValues(seed, tensor, numRows * inFeatures).map(
      (value) => (value * gain) / Math.sqrt(inFeatures),
    );
  // Small beside what the layers add, or a tied head would repeat the last token.
  const embedding = () =>
    randomValues(seed, modelRoles.indexOf("embedding"), vocabSize * hiddenSize).map(
      (value) => 0.2 * value,
    );
  const norm = (tensor: number, size = hiddenSize) =>
    randomValues(seed, tensor, size).map((value) => 1 + 0.2 * value);
  const numOf = (layer: number, role: LayerTensorRole | BiasRole) => {
    const index = layerRoles.indexOf(role);
    const isPlain = index < numPlainRoles;
    return modelRoles.length + layer * numPlainRoles + index + (isPlain ? 0 : 1_000_000);
  };

  const layerTensor = (layer: number, role: LayerTensorRole): Float32Array => {
    const shape = options.layerShapes?.[layer] ?? config;
    const tensor = numOf(layer, role);
    switch (role) {
      case "queryNorm":
      case "keyNorm":
        return norm(tensor, headDim);
      case "attentionNorm":
      case "attentionPostNorm":
      case "mlpNorm":
      case "mlpPostNorm":
        return norm(tensor);
      case "query":
        return matrix(tensor, shape.numHeads * headDim, hiddenSize, 1.5);
      case "key":
        return matrix(tensor, shape.numKvHeads * headDim, hiddenSize, 1.5);
      case "value":
        return matrix(tensor, shape.numKvHeads * headDim, hiddenSize, 1);
      case "output":
        return matrix(tensor, hiddenSize, shape.numHeads * headDim, 1);
      case "gate":
        return matrix(tensor, shape.intermediateSize, hiddenSize, 1.5);
      case "up":
        return matrix(tensor, shape.intermediateSize, hiddenSize, 1);
      case "down":
        return matrix(tensor, hiddenSize, shape.intermediateSize, 1);
    }
  };
  return {
    config,
    contentHash: createHash("sha256").update(JSON.stringify(options)).digest("hex"),
    readTensor(role, rows) {
      const tensor = modelRoles.indexOf(role);
      const some = (matrix: Float32Array) =>
        rows ? matrix.subarray(rows.start * hiddenSize, rows.end * hiddenSize) : matrix;
      switch (role) {
        case "embedding":
          return some(embedding());
        case "finalNorm":
          return norm(tensor).map((value) => value * (options.logitGain ?? 1));
        case "lmHead":
          return some(
            config.tiedEmbeddings ? embedding() : matrix(tensor, vocabSize, hiddenSize, 2),
          );
      }
    },
    readLayerTensor(layer, role, rows) {
      const whole = layerTensor(layer, role);
      if (!rows) return whole;
      const shape = { ...config, ...options.layerShapes?.[layer] };
      const columns = {
        ...{ output: shape.numHeads * headDim, down: shape.intermediateSize },
      } as Partial<Record<LayerTensorRole, number>>;
      const width = columns[role] ?? hiddenSize;
      return whole.subarray(rows.start * width, rows.end * width);
    },
    readLayerBias(layer, role) {
      const shape = options.layerShapes?.[layer] ?? config;
      const projection = role.replace("Bias", "") as ProjectionRole;
      if (!config.layers[layer]!.biases.includes(projection)) return null;
      const sizes: Readonly<Record<ProjectionRole, number>> = {
        query: shape.numHeads * headDim,
        key: shape.numKvHeads * headDim,
        value: shape.numKvHeads * headDim,
        output: hiddenSize,
        gate: shape.intermediateSize,
        up: shape.intermediateSize,
        down: hiddenSize,
      };
      return randomValues(seed, numOf(layer, role), sizes[projection]).map((value) => 0.3 * value);
    },
    close() {
      // Nothing is open.
    },
  };
}

/**
 * Uniform values of mean 0 and variance 1: the counter-based generator splitmix32, which
 * `test/fixtures/plain-forward.py` repeats.
 */
function randomValues(seed: number, tensor: number, length: number): Float32Array {
  const start = hash32(Math.imul(seed, 0x9e3779b1) + tensor);
  return Float32Array.from(
    { length },
    (_, index) => (hash32(start + Math.imul(index, 0x9e3779b9)) / 2 ** 31 - 1) * Math.sqrt(3),
  );
}

/** @returns 32 well mixed bits, unsigned. */
function hash32(value: number): number {
  let bits = value | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return (bits ^ (bits >>> 15)) >>> 0;
}
