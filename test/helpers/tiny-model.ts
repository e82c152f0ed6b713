import { createHash } from "node:crypto";
import type { ModelConfig, ModelTensorRole, ModelWeights } from "../../model/weights/config.ts";
import { plainLayer } from "../../model/weights/layer-spec.ts";
import { plainRopeFrequencies } from "../../model/weights/rope.ts";
import type { LayerDescription, LayerShape } from "../../model/weights/layer-spec.ts";
import { layerTensorShapes } from "../../model/weights/tensor-shapes.ts";

export interface TinyModelOptions {
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
  /** @default 10000 */
  readonly ropeTheta?: number;
  /** @default false */
  readonly ropeInterleaved?: boolean;
  /** @default true */
  readonly tiedEmbeddings?: boolean;
  /** Widths per layer, as after pruning, instead of the same for all. */
  readonly layerShapes?: readonly LayerShape[];
  /** What layers compute instead of what Llama's do; layer i has entry i modulo their number. */
  readonly layers?: readonly Partial<LayerDescription>[];
  /** Bases and sizes of the rotary tables. @default one of `ropeTheta` for whole heads */
  readonly rotaryTables?: readonly { readonly theta: number; readonly size: number }[];
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
const layerRoles: readonly string[] = [
  "attentionNorm",
  "query",
  "key",
  "value",
  "output",
  "mlpNorm",
  "gate",
  "up",
  "down",
];

/** Those that Llama has not: their values are of tensors after all of its own. */
const otherRoles: readonly string[] = [
  "attentionPostNorm",
  "mlpPostNorm",
  "queryNorm",
  "keyNorm",
  "queryBias",
  "keyBias",
  "valueBias",
  "outputBias",
  "gateBias",
  "upBias",
  "downBias",
];

/**
 * A model of random weights that fits in memory, the same for the same options. Scaled so that the
 * most likely token depends on the whole context and seldom has a close second.
 */
export function tinyModel(options: TinyModelOptions = {}): ModelWeights {
  const { ropeTheta = 10_000, seed = 1 } = options;
  const headDim = options.headDim ?? 16;
  const numLayers = options.numLayers ?? 5;
  const ropeInterleaved = options.ropeInterleaved ?? false;
  const layer = plainLayer({ headDim, isInterleaved: ropeInterleaved });
  const { layers: changes = [{}], rotaryTables = [{ theta: ropeTheta, size: headDim }] } = options;
  const tables = rotaryTables.map(({ theta, size }) => plainRopeFrequencies(size, theta));
  const config: ModelConfig = {
    architecture: "llama",
    numLayers,
    layers: Array.from({ length: numLayers }, (_, i) => ({
      ...layer,
      ...changes[i % changes.length],
    })),
    hiddenSize: options.hiddenSize ?? 64,
    numHeads: options.numHeads ?? 4,
    numKvHeads: options.numKvHeads ?? 2,
    headDim,
    intermediateSize: options.intermediateSize ?? 96,
    vocabSize: options.vocabSize ?? 256,
    contextLength: options.contextLength ?? 2048,
    rmsNormEps: 1e-5,
    embeddingScale: options.embeddingScale ?? 1,
    logitScale: options.logitScale ?? 1,
    rotaryTables: tables,
    ropeInverseFrequencies: tables[0]!,
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
  const tensorOf = (layer: number, role: string) =>
    layerRoles.includes(role)
      ? modelRoles.length + layer * layerRoles.length + layerRoles.indexOf(role)
      : modelRoles.length +
        numLayers * layerRoles.length +
        layer * otherRoles.length +
        otherRoles.indexOf(role);
  const shapeOf = (layer: number) => options.layerShapes?.[layer] ?? config;

  return {
    config,
    contentHash: createHash("sha256").update(JSON.stringify(options)).digest("hex"),
    readTensor(role) {
      const tensor = modelRoles.indexOf(role);
      switch (role) {
        case "embedding":
          return embedding();
        case "finalNorm":
          return norm(tensor).map((value) => value * (options.logitGain ?? 1));
        case "lmHead":
          return config.tiedEmbeddings ? embedding() : matrix(tensor, vocabSize, hiddenSize, 2);
      }
    },
    readLayerTensor(layer, role) {
      const shape = shapeOf(layer);
      const tensor = tensorOf(layer, role);
      switch (role) {
        case "attentionNorm":
        case "mlpNorm":
        case "attentionPostNorm":
        case "mlpPostNorm":
          return norm(tensor);
        case "queryNorm":
        case "keyNorm":
          return norm(tensor, headDim);
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
    },
    readLayerBias(layer, role) {
      const shapes = layerTensorShapes({ ...config, ...shapeOf(layer) }, layer);
      const shape = shapes[role];
      return shape
        ? randomValues(seed, tensorOf(layer, role), shape[0]!).map((v) => 0.3 * v)
        : null;
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
