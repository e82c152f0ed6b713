import type { BiasRole, LayerTensorRole, ModelConfig, ModelWeights } from "../weights/config.ts";
import type { LayerShape } from "../weights/layer-spec.ts";
import { GraphBuilder } from "./graph-builder.ts";
import type { GraphModel } from "./graph-builder.ts";
import { writeLmHead } from "./lm-head.ts";
import type { WeightFormat } from "../weights/quantize.ts";

/** A contiguous part of the model that runs as one session. */
export interface StageModel extends GraphModel {
  readonly name: string;
  readonly hasEmbedding: boolean;
  readonly hasHead: boolean;
  readonly layers: readonly LayerShape[];
  readonly headDim: number;
  readonly hiddenSize: number;
  readonly vocabSize: number;
  /** Weights and graph. */
  readonly sizeBytes: number;
}

export interface StageOptions {
  readonly name: string;
  readonly firstLayer: number;
  readonly numLayers: number;
  /** Widths of the stage's layers. @default the model's own */
  readonly shapes?: readonly LayerShape[];
  /** Takes token ids instead of hidden states. */
  readonly hasEmbedding: boolean;
  /** Comes after another stage of the same run of layers, and rounds as if both were one. @default false */
  readonly isContinued?: boolean;
  /** Gives logits of selected rows instead of hidden states. */
  readonly hasHead: boolean;
  readonly format: WeightFormat;
  /** Called as each module is written; may add nodes and outputs that read its input. */
  readonly observe?: ModuleObserver;
}

export type ModuleObserver = (graph: GraphBuilder, module: ObservedModule) => void;

/** A place where pruning cuts: the input of a layer's output or down projection. */
export interface ObservedModule {
  /** In the model. */
  readonly layer: number;
  readonly role: "output" | "down";
  /** Value `[B, S, size]` that the projection multiplies. */
  readonly input: string;
  readonly size: number;
  /** Value `[B, S, hiddenSize]`: the residual stream before the module's norm. */
  readonly residual: string;
}

/** The shape of an unpruned layer. */
export function denseShape(config: ModelConfig): LayerShape {
  const { numHeads, numKvHeads, intermediateSize } = config;
  return { numHeads, numKvHeads, intermediateSize };
}

/**
 * Writes one stage as an ONNX model. B sequences, S new tokens each, P past positions:
 *
 * | feed | shape | |
 * |---|---|---|
 * | `token_ids` or `hidden` | `[B, S]` int64, `[B, S, hiddenSize]` | |
 * | `position_ids` | `[B, S]` int64 | rows of `cos`, `sin` |
 * | `cos`, `sin` | `[rows, headDim / 2]` | of the positions needed |
 * | `mask` | `[B, 1, 1, S, P + S]` | added to the scores |
 * | `score_split` | `[2]` int64 | P, S |
 * | `past_k.i`, `past_v.i` | `[B, kvHeads, 1, headDim, P]`, `[B, kvHeads, 1, P, headDim]` | per layer with attention |
 * | `rows` | `[R]` int64 | of the S new tokens; a stage with the head |
 * | `logit_rows` | `[L]` int64 | of the R rows; a stage with the head |
 *
 * Results: `hidden_out` `[B, S, hiddenSize]`, or of a stage with the head `logits` `[B, L, vocabSize]` and `hidden_out`
 * `[B, R, hiddenSize]`, the input of the last norm; and the new keys and values of all layers side by side, `new_k` and
 * `new_v` `[B, sum of kvHeads, 1, S, headDim]`.
 *
 * The cache stays outside: ONNX Runtime for Node copies every output, so a graph that returned it would
 * copy it at each step. Scores over past and new keys are computed apart and joined for the softmax.
 * Past keys are fed transposed, and every query head is a batch item: at S = 1 each product is then a
 * vector times a row-major matrix, which needs no packing and does not depend on B.
 *
 * A stage with the head drops the other rows as soon as its last layer has their keys and values.
 */
export function buildStage(weights: ModelWeights, options: StageOptions): StageModel {
  const { config } = weights;
  const { firstLayer, numLayers, hasEmbedding, hasHead, format, name } = options;
  const shapes = options.shapes ?? Array.from({ length: numLayers }, () => denseShape(config));
  const graph = new GraphBuilder();
  const layers = new LayerWriter(graph, weights, options);

  let residual: string;
  if (hasEmbedding) {
    const ids = graph.input("token_ids", "int64", ["B", "S"]);
    const embedding = weights.readTensor("embedding");
    residual = graph.lookUp("embedding", ids, embedding, config.vocabSize, format);
  } else {
    residual = graph.input("hidden", "float32", ["B", "S", config.hiddenSize]);
  }

  const rows = hasHead ? graph.input("rows", "int64", ["R"]) : null;
  if (rows !== null && numLayers === 0) {
    residual = graph.op("Gather", [residual, rows], { axis: 1n });
  }
  let state: ResidualState = { residual, delta: null };
  if (options.isContinued) {
    // A delta of 0: the norm of a sum rounds in another way than the norm of a value.
    state = { residual, delta: graph.op("Sub", [residual, residual]) };
  }
  for (let i = 0; i < numLayers; i++) {
    const selected = i === numLayers - 1 ? rows : null;
    state = layers.write(
      { layer: firstLayer + i, index: i, shape: shapes[i]!, rows: selected },
      state,
    );
  }
  layers.writeNewKv();

  if (hasHead) {
    const gamma = weights.readTensor("finalNorm");
    const hidden = sumOf(graph, state);
    graph.output("hidden_out", hidden, ["B", "R", config.hiddenSize]);
    const selected = graph.op("Gather", [hidden, graph.input("logit_rows", "int64", ["L"])], {
      axis: 1n,
    });
    const norm = graph.op(
      "SimplifiedLayerNormalization",
      [selected, graph.weight("final_norm", "float32", [config.hiddenSize], gamma)],
      { epsilon: config.rmsNormEps, axis: -1n },
    );
    graph.output("logits", writeLmHead(graph, weights, norm, format), ["B", "L", config.vocabSize]);
  } else {
    graph.output("hidden_out", sumOf(graph, state), ["B", "S", config.hiddenSize]);
  }

  const model = graph.finish(name);
  let sizeBytes = model.graph.length;
  for (const bytes of model.weights.values()) sizeBytes += bytes.length;
  const { headDim, hiddenSize, vocabSize } = config;
  return {
    ...model,
    name,
    hasEmbedding,
    hasHead,
    layers: shapes,
    headDim,
    hiddenSize,
    vocabSize,
    sizeBytes,
  };
}

/** The residual stream; `delta` is the last module's output, not yet added. */
interface ResidualState {
  readonly residual: string;
  readonly delta: string | null;
}

function sumOf(graph: GraphBuilder, { residual, delta }: ResidualState): string {
  return delta === null ? residual : graph.op("Add", [residual, delta]);
}

interface LayerPlace {
  /** In the model. */
  readonly layer: number;
  /** In the stage. */
  readonly index: number;
  readonly shape: LayerShape;
  /** Tokens that go on after attention; null for all. */
  readonly rows: string | null;
}

class LayerWriter {
  readonly #graph: GraphBuilder;
  readonly #weights: ModelWeights;
  readonly #config: ModelConfig;
  readonly #format: WeightFormat;
  readonly #observe: ModuleObserver;
  readonly #newKeys: string[] = [];
  readonly #newValues: string[] = [];
  #numKvHeads = 0;
  #inputs: { position: string; cos: string; sin: string; mask: string; scoreSplit: string } | null =
    null;

  constructor(graph: GraphBuilder, weights: ModelWeights, options: StageOptions) {
    this.#graph = graph;
    this.#weights = weights;
    this.#config = weights.config;
    this.#format = options.format;
    this.#observe = options.observe ?? (() => undefined);
  }

  write(place: LayerPlace, state: ResidualState): ResidualState {
    const { layer, shape, rows } = place;
    let next = state;
    if (shape.numHeads > 0) next = this.#attention(place, next);
    else if (rows !== null)
      next = { residual: this.#select(sumOf(this.#graph, next), rows), delta: null };
    if (shape.numHeads === 0) next = this.#constant(layer, "outputBias", next);
    if (shape.intermediateSize > 0) next = this.#mlp(layer, shape, next);
    else next = this.#constant(layer, "downBias", next);
    return next;
  }

  /** Adds what a module that is left out gave on average, where that is known. */
  #constant(layer: number, role: BiasRole, state: ResidualState): ResidualState {
    const bias = this.#weights.readLayerBias?.(layer, role);
    if (!bias) return state;
    const graph = this.#graph;
    const addend = graph.weight(`layers.${layer}.${role}`, "float32", [bias.length], bias);
    const { residual, delta } = state;
    return delta === null
      ? { residual: graph.op("Add", [residual, addend]), delta }
      : { residual, delta: graph.op("Add", [delta, addend]) };
  }

  writeNewKv(): void {
    if (this.#newKeys.length === 0) return;
    const shape = ["B", this.#numKvHeads, 1, "S", this.#config.headDim];
    const graph = this.#graph;
    graph.output("new_k", graph.op("Concat", this.#newKeys, { axis: 1n }), shape);
    graph.output("new_v", graph.op("Concat", this.#newValues, { axis: 1n }), shape);
  }

  #attention({ layer, index, shape, rows }: LayerPlace, state: ResidualState): ResidualState {
    const graph = this.#graph;
    const { headDim } = this.#config;
    const { numHeads, numKvHeads } = shape;
    const inputs = this.#attentionInputs();
    const [norm, residual] = this.#norm(layer, "attentionNorm", state);
    const select = (value: string, axis: number) =>
      rows === null ? value : this.#select(value, rows, axis);

    const qkv = this.#linear(layer, "qkv", norm, this.#packedQkv(layer));
    const rotarySizes = graph.int64([(numHeads + numKvHeads) * headDim, numKvHeads * headDim]);
    const [qk, v] = graph.split(qkv, rotarySizes, -1);
    const rotated = graph.contrib(
      "RotaryEmbedding",
      [qk, inputs.position, inputs.cos, inputs.sin],
      {
        interleaved: this.#config.ropeInterleaved ? 1n : 0n,
      },
    );
    const [q, k] = graph.split(
      rotated,
      graph.int64([numHeads * headDim, numKvHeads * headDim]),
      -1,
    );

    // [B, S, heads * headDim] -> [B, kvHeads, queriesPerKv (1 for k and v), S, headDim]
    const byHead = (value: string, perKv: number) =>
      graph.op(
        "Transpose",
        [graph.op("Reshape", [value, graph.int64([0, 0, numKvHeads, perKv, headDim])])],
        { perm: [0n, 2n, 3n, 1n, 4n] },
      );
    const query = byHead(select(q, 1), numHeads / numKvHeads);
    const newKey = byHead(k, 1);
    const newValue = byHead(v, 1);
    this.#newKeys.push(newKey);
    this.#newValues.push(newValue);
    this.#numKvHeads += numKvHeads;

    const pastKey = graph.input(`past_k.${index}`, "float32", ["B", numKvHeads, 1, headDim, "P"]);
    const pastValue = graph.input(`past_v.${index}`, "float32", ["B", numKvHeads, 1, "P", headDim]);
    // [B, kvHeads, queriesPerKv, S, P] and [.., S, S], joined to [.., S, P + S]
    const pastScores = graph.op("MatMul", [query, pastKey]);
    const newScores = graph.contrib("FusedMatMul", [query, newKey], { transB: 1n });
    const scores = graph.op("Concat", [pastScores, newScores], { axis: -1n });
    const masked = graph.op("Add", [scores, select(inputs.mask, 3)]);
    const probabilities = graph.op("Softmax", [masked], { axis: -1n });
    const [pastWeights, newWeights] = graph.split(probabilities, inputs.scoreSplit, -1);
    const mixed = graph.op("Add", [
      graph.op("MatMul", [pastWeights, pastValue]),
      graph.op("MatMul", [newWeights, newValue]),
    ]);
    const size = numHeads * headDim;
    // [B, kvHeads, queriesPerKv, S, headDim] -> [B, S, size]
    const byToken = graph.op("Transpose", [mixed], { perm: [0n, 3n, 1n, 2n, 4n] });
    const joined = graph.op("Reshape", [byToken, graph.int64([0, 0, size])]);
    this.#observe(graph, { layer, role: "output", input: joined, size, residual });
    const output = this.#weights.readLayerTensor(layer, "output");
    return { residual: select(residual, 1), delta: this.#linear(layer, "output", joined, output) };
  }

  #mlp(layer: number, shape: LayerShape, state: ResidualState): ResidualState {
    const graph = this.#graph;
    const [norm, residual] = this.#norm(layer, "mlpNorm", state);
    const gate = this.#weights.readLayerTensor(layer, "gate");
    const up = this.#weights.readLayerTensor(layer, "up");
    const gateUp = this.#linear(layer, "gate_up", norm, concatenate(gate, up));
    const { intermediateSize } = shape;
    const [gated, upper] = graph.split(
      gateUp,
      graph.int64([intermediateSize, intermediateSize]),
      -1,
    );
    // x * sigmoid(1 * x) is SiLU.
    const activated = graph.contrib("QuickGelu", [gated], { alpha: 1 });
    const product = graph.op("Mul", [activated, upper]);
    this.#observe(graph, { layer, role: "down", input: product, size: intermediateSize, residual });
    const down = this.#weights.readLayerTensor(layer, "down");
    return { residual, delta: this.#linear(layer, "down", product, down) };
  }

  #select(value: string, rows: string, axis = 1): string {
    return this.#graph.op("Gather", [value, rows], { axis: BigInt(axis) });
  }

  #norm(
    layer: number,
    role: LayerTensorRole,
    state: ResidualState,
  ): [norm: string, residual: string] {
    const { rmsNormEps: epsilon, hiddenSize } = this.#config;
    const values = this.#weights.readLayerTensor(layer, role);
    const gamma = this.#graph.weight(`layers.${layer}.${role}`, "float32", [hiddenSize], values);
    if (state.delta !== null)
      return this.#graph.skipNorm(state.residual, state.delta, gamma, epsilon);
    const attributes = { epsilon, axis: -1n };
    const norm = this.#graph.op(
      "SimplifiedLayerNormalization",
      [state.residual, gamma],
      attributes,
    );
    return [norm, state.residual];
  }

  #linear(layer: number, name: string, x: string, matrix: Float32Array): string {
    const { hiddenSize } = this.#config;
    const path = `layers.${layer}.${name}`;
    if (name !== "output" && name !== "down") {
      return this.#graph.linear(path, x, matrix, matrix.length / hiddenSize, this.#format);
    }
    const bias = this.#weights.readLayerBias?.(layer, `${name}Bias`);
    return this.#graph.linear(path, x, matrix, hiddenSize, this.#format, bias);
  }

  /** Rows of q, k and v; q carries the softmax scale 1 / sqrt(headDim), which rotation commutes with. */
  #packedQkv(layer: number): Float32Array {
    const scale = 1 / Math.sqrt(this.#config.headDim);
    const query = this.#weights.readLayerTensor(layer, "query").map((value) => value * scale);
    const key = this.#weights.readLayerTensor(layer, "key");
    return concatenate(query, key, this.#weights.readLayerTensor(layer, "value"));
  }

  #attentionInputs() {
    const graph = this.#graph;
    const half = this.#config.headDim / 2;
    return (this.#inputs ??= {
      position: graph.input("position_ids", "int64", ["B", "S"]),
      cos: graph.input("cos", "float32", ["positions", half]),
      sin: graph.input("sin", "float32", ["positions", half]),
      mask: graph.input("mask", "float32", ["B", 1, 1, "S", "T"]),
      scoreSplit: graph.input("score_split", "int64", [2]),
    });
  }
}

function concatenate(...parts: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}
