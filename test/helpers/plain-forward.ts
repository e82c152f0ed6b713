import type { ModelWeights, RotaryAngles } from "../../model/weights/config.ts";
import type {
  Activation,
  LayerShape,
  NormRole,
  ProjectionRole,
  RotaryKind,
} from "../../model/weights/layer-spec.ts";

export interface PlainForwardOptions {
  /** Widths per layer; the configuration's for all where absent. */
  readonly layerShapes?: readonly LayerShape[];
  /** Called with what each layer's output and down projection multiplies. */
  readonly observe?: PlainObserver;
}

/**
 * @param input `[numTokens, size]`
 * @param residual the hidden states before the module's norm, `[numTokens, hiddenSize]`
 */
export type PlainObserver = (
  layer: number,
  role: "output" | "down",
  input: Float32Array,
  residual: Float32Array,
) => void;

/**
 * The transformer as its paper has it, written to be read: whole sequence, no cache, sums in double
 * precision and values between modules in fp32. The reference for everything that is faster.
 *
 * @returns logits, `[numTokens, vocabSize]`.
 */
export function plainForward(
  weights: ModelWeights,
  tokenIds: ArrayLike<number>,
  options: PlainForwardOptions = {},
): Float32Array {
  const { hiddenSize, rmsNormEps } = weights.config;
  const hidden = plainHidden(weights, tokenIds, options);
  const normed = rmsNorm(hidden, weights.readTensor("finalNorm"), rmsNormEps);
  const logits = linear(normed, weights.readTensor("lmHead"), hiddenSize);
  return logits.map((value) => value * weights.config.logitScale);
}

/** @returns what the last norm takes, `[numTokens, hiddenSize]`. */
export function plainHidden(
  weights: ModelWeights,
  tokenIds: ArrayLike<number>,
  options: PlainForwardOptions = {},
): Float32Array {
  const { config } = weights;
  const { numLayers, hiddenSize, rmsNormEps, embeddingScale } = config;

  const embedded = embed(weights.readTensor("embedding"), tokenIds, hiddenSize);
  const hidden = embedded.map((value) => value * embeddingScale); // [numTokens, hiddenSize]
  for (let layer = 0; layer < numLayers; layer++) {
    const shape = options.layerShapes?.[layer] ?? config;
    const observe = (role: "output" | "down", input: Float32Array) =>
      options.observe?.(layer, role, input, hidden);
    const { norms, residualScale } = config.layers[layer]!;
    const normed = (role: NormRole) =>
      norms.includes(role)
        ? rmsNorm(hidden, weights.readLayerTensor(layer, role), rmsNormEps)
        : hidden.slice();
    const add = (values: Float32Array, role: NormRole) => {
      const after = norms.includes(role)
        ? rmsNorm(values, weights.readLayerTensor(layer, role), rmsNormEps)
        : values;
      addInto(
        hidden,
        after.map((value) => value * residualScale),
      );
    };
    if (shape.numHeads > 0) {
      add(attention(weights, layer, shape, normed("attentionNorm"), observe), "attentionPostNorm");
    } else addRow(hidden, weights.readLayerBias(layer, "outputBias"));
    if (shape.intermediateSize > 0) {
      add(mlp(weights, layer, shape, normed("mlpNorm"), observe), "mlpPostNorm");
    } else addRow(hidden, weights.readLayerBias(layer, "downBias"));
  }
  return hidden;
}

/**
 * The most likely token after each token. Checks a greedy answer in one pass:
 * `plainNextTokens(weights, [...prompt, ...answer]).slice(prompt.length - 1, -1)` is that answer.
 */
export function plainNextTokens(
  weights: ModelWeights,
  tokenIds: ArrayLike<number>,
  options: PlainForwardOptions = {},
): number[] {
  const { vocabSize } = weights.config;
  const logits = plainForward(weights, tokenIds, options);
  return Array.from(tokenIds, (_, token) =>
    argmax(logits.subarray(token * vocabSize, (token + 1) * vocabSize)),
  );
}

/**
 * The `numTokens` most likely tokens after the prompt, one after the other. A whole pass per token:
 * for tiny models.
 */
export function plainGreedy(
  weights: ModelWeights,
  promptIds: ArrayLike<number>,
  numTokens: number,
  options: PlainForwardOptions = {},
): number[] {
  const tokenIds = Array.from(promptIds);
  for (let step = 0; step < numTokens; step++) {
    tokenIds.push(plainNextTokens(weights, tokenIds, options).at(-1)!);
  }
  return tokenIds.slice(promptIds.length);
}

function embed(
  embedding: Float32Array,
  tokenIds: ArrayLike<number>,
  hiddenSize: number,
): Float32Array {
  const hidden = new Float32Array(tokenIds.length * hiddenSize);
  for (let token = 0; token < tokenIds.length; token++) {
    const start = tokenIds[token]! * hiddenSize;
    hidden.set(embedding.subarray(start, start + hiddenSize), token * hiddenSize);
  }
  return hidden;
}

/** Grouped-query causal attention; `input` and the result are `[numTokens, hiddenSize]`. */
function attention(
  weights: ModelWeights,
  layer: number,
  { numHeads, numKvHeads }: LayerShape,
  input: Float32Array,
  observe: (role: "output", mixed: Float32Array) => void,
): Float32Array {
  const { config } = weights;
  const { hiddenSize, headDim, rmsNormEps } = config;
  const { norms, rotary, window, scoreScale } = config.layers[layer]!;
  const numTokens = input.length / hiddenSize;
  const project = (role: "query" | "key" | "value") =>
    projected(weights, layer, role, input, hiddenSize);
  const turned = (values: Float32Array, norm: NormRole) => {
    const heads = norms.includes(norm)
      ? rmsNorm(values, weights.readLayerTensor(layer, norm), rmsNormEps)
      : values;
    return rotate(heads, numTokens, headDim, rotary, config.rotaryTables[rotary.table]!);
  };
  const query = turned(project("query"), "queryNorm"); // [numTokens, numHeads * headDim]
  const key = turned(project("key"), "keyNorm"); // [numTokens, numKvHeads * headDim]
  const value = project("value"); // [numTokens, numKvHeads * headDim]

  const mixed = new Float32Array(numTokens * numHeads * headDim);
  for (let head = 0; head < numHeads; head++) {
    const kvHead = Math.floor((head * numKvHeads) / numHeads);
    for (let token = 0; token < numTokens; token++) {
      const queryStart = (token * numHeads + head) * headDim;
      const scores = new Float64Array(token + 1).fill(-Infinity); // this token and those before it
      const first = window === null ? 0 : Math.max(0, token - window + 1);
      for (let past = first; past <= token; past++) {
        const keyStart = (past * numKvHeads + kvHead) * headDim;
        scores[past] = dot(query, queryStart, key, keyStart, headDim) * scoreScale;
      }
      const probabilities = softmax(scores);
      for (let index = 0; index < headDim; index++) {
        let sum = 0;
        for (let past = 0; past <= token; past++) {
          sum += probabilities[past]! * value[(past * numKvHeads + kvHead) * headDim + index]!;
        }
        mixed[queryStart + index] = sum;
      }
    }
  }
  observe("output", mixed);
  return projected(weights, layer, "output", mixed, numHeads * headDim);
}

/** Of a gate's value. */
const activations: Readonly<Record<Activation, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  "gelu-tanh": (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** A gated MLP; `input` and the result are `[numTokens, hiddenSize]`. */
function mlp(
  weights: ModelWeights,
  layer: number,
  { intermediateSize }: LayerShape,
  input: Float32Array,
  observe: (role: "down", channels: Float32Array) => void,
): Float32Array {
  const { hiddenSize } = weights.config;
  const { activation } = weights.config.layers[layer]!;
  const gate = projected(weights, layer, "gate", input, hiddenSize);
  const up = projected(weights, layer, "up", input, hiddenSize);
  const channels = gate.map((g, index) => activations[activation](g) * up[index]!); // [numTokens, intermediateSize]
  observe("down", channels);
  return projected(weights, layer, "down", channels, intermediateSize);
}

/** Turns pair i of every head by position * frequency i. Shape `[numTokens, heads * headDim]`. */
function rotate(
  input: Float32Array,
  numTokens: number,
  headDim: number,
  { size, isInterleaved }: RotaryKind,
  { frequencies, magnitude }: RotaryAngles,
): Float32Array {
  const half = size / 2;
  const output = input.slice();
  const width = input.length / numTokens;
  for (let start = 0; start < input.length; start += headDim) {
    const position = Math.floor(start / width);
    for (let pair = 0; pair < half; pair++) {
      const angle = position * frequencies[pair]!;
      const first = start + (isInterleaved ? 2 * pair : pair);
      const second = first + (isInterleaved ? 1 : half);
      const [x, y] = [input[first]!, input[second]!];
      const [cos, sin] = [magnitude * Math.cos(angle), magnitude * Math.sin(angle)];
      output[first] = x * cos - y * sin;
      output[second] = y * cos + x * sin;
    }
  }
  return output;
}

/** A projection of the layer, with its bias where it has one. */
function projected(
  weights: ModelWeights,
  layer: number,
  role: ProjectionRole,
  input: Float32Array,
  inFeatures: number,
): Float32Array {
  const output = linear(input, weights.readLayerTensor(layer, role), inFeatures);
  addRow(output, weights.readLayerBias(layer, `${role}Bias`));
  return output;
}

/** Every row divided by its root mean square, times the weight. Shape `[numTokens, hiddenSize]`. */
function rmsNorm(input: Float32Array, weight: Float32Array, eps: number): Float32Array {
  const size = weight.length;
  const output = new Float32Array(input.length);
  for (let start = 0; start < input.length; start += size) {
    const meanSquare = dot(input, start, input, start, size) / size;
    const scale = 1 / Math.sqrt(meanSquare + eps);
    for (let index = 0; index < size; index++) {
      output[start + index] = input[start + index]! * scale * weight[index]!;
    }
  }
  return output;
}

/** `[numTokens, inFeatures]` times the transpose of `[outFeatures, inFeatures]`. */
function linear(input: Float32Array, weight: Float32Array, inFeatures: number): Float32Array {
  const numTokens = input.length / inFeatures;
  const outFeatures = weight.length / inFeatures;
  const output = new Float32Array(numTokens * outFeatures);
  for (let row = 0; row < outFeatures; row++) {
    for (let token = 0; token < numTokens; token++) {
      output[token * outFeatures + row] = dot(
        input,
        token * inFeatures,
        weight,
        row * inFeatures,
        inFeatures,
      );
    }
  }
  return output;
}

function dot(
  a: Float32Array,
  aStart: number,
  b: Float32Array,
  bStart: number,
  length: number,
): number {
  let sum = 0;
  for (let index = 0; index < length; index++) sum += a[aStart + index]! * b[bStart + index]!;
  return sum;
}

function softmax(scores: Float64Array): Float64Array {
  const largest = scores.reduce((a, b) => Math.max(a, b));
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const sum = exponentials.reduce((a, b) => a + b);
  return exponentials.map((value) => value / sum);
}

function addInto(target: Float32Array, addend: Float32Array): void {
  for (let index = 0; index < target.length; index++) target[index]! += addend[index]!;
}

/** Adds the same values to every token, if there are any. */
function addRow(target: Float32Array, row: Float32Array | null | undefined): void {
  if (!row) return;
  for (let index = 0; index < target.length; index++) target[index]! += row[index % row.length]!;
}

/** The lowest index of the largest value. */
function argmax(values: Float32Array): number {
  return values.reduce((best, value, index) => (value > values[best]! ? index : best), 0);
}
