import type { StageModel, StageSpec } from "../stages/stage-spec.ts";
import type { LayerSpec, NormRole } from "../weights/layer-spec.ts";
import { GraphBuilder } from "./graph-builder.ts";
import type { GraphModel } from "./graph-builder.ts";

/** Called as each module is written; may add nodes and outputs that read its input. */
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
export function writeStage(
  { spec, weights }: StageModel,
  observe: ModuleObserver = () => undefined,
): GraphModel {
  const { name, layers, hiddenSize, vocabSize, hasEmbedding, hasHead } = spec;
  const graph = new GraphBuilder(weights);
  const writer = new LayerWriter(graph, spec, observe);

  let residual = hasEmbedding
    ? graph.lookUp("embedding", graph.input("token_ids", "int64", ["B", "S"]))
    : graph.input("hidden", "float32", ["B", "S", hiddenSize]);
  const rows = hasHead ? graph.input("rows", "int64", ["R"]) : null;
  if (rows !== null && layers.length === 0) {
    residual = graph.op("Gather", [residual, rows], { axis: 1n });
  }
  let state: ResidualState = { residual, delta: null };
  if (spec.isContinued) {
    // A delta of 0: the norm of a sum rounds in another way than the norm of a value.
    state = { residual, delta: graph.op("Sub", [residual, residual]) };
  }
  for (const index of layers.keys()) {
    state = writer.write(index, index === layers.length - 1 ? rows : null, state);
  }
  writer.writeNewKv();

  if (hasHead) {
    const hidden = sumOf(graph, state);
    graph.output("hidden_out", hidden, ["B", "R", hiddenSize]);
    const selected = graph.op("Gather", [hidden, graph.input("logit_rows", "int64", ["L"])], {
      axis: 1n,
    });
    const norm = graph.op("SimplifiedLayerNormalization", [selected, graph.plain("final_norm")], {
      epsilon: spec.rmsNormEps,
      axis: -1n,
    });
    graph.output("logits", graph.linear("lm_head", norm), ["B", "L", vocabSize]);
  } else {
    graph.output("hidden_out", sumOf(graph, state), ["B", "S", hiddenSize]);
  }
  return graph.finish(name);
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
  readonly spec: LayerSpec;
  /** Tokens that go on after attention; null for all. */
  readonly rows: string | null;
}

class LayerWriter {
  readonly #graph: GraphBuilder;
  readonly #stage: StageSpec;
  readonly #observe: ModuleObserver;
  readonly #newKeys: string[] = [];
  readonly #newValues: string[] = [];
  #numKvHeads = 0;
  #inputs: { position: string; cos: string; sin: string; mask: string; scoreSplit: string } | null =
    null;

  constructor(graph: GraphBuilder, stage: StageSpec, observe: ModuleObserver) {
    this.#graph = graph;
    this.#stage = stage;
    this.#observe = observe;
  }

  /**
   * @param index of the layer in the stage
   * @param rows tokens that go on after attention; null for all
   */
  write(index: number, rows: string | null, state: ResidualState): ResidualState {
    const spec = this.#stage.layers[index]!;
    const place: LayerPlace = { layer: this.#stage.firstLayer + index, index, spec, rows };
    let next = state;
    if (spec.numHeads > 0) next = this.#attention(place, next);
    else if (rows !== null)
      next = { residual: this.#select(sumOf(this.#graph, next), rows), delta: null };
    if (spec.numHeads === 0) next = this.#constant(place, "outputBias", next);
    if (spec.intermediateSize > 0) next = this.#mlp(place, next);
    else next = this.#constant(place, "downBias", next);
    return next;
  }

  /** Adds what a module that is left out gave on average, where that is known. */
  #constant({ layer }: LayerPlace, name: string, state: ResidualState): ResidualState {
    const graph = this.#graph;
    const path = `layers.${layer}.${name}`;
    if (!graph.hasTensor(path)) return state;
    const addend = graph.plain(path);
    const { residual, delta } = state;
    return delta === null
      ? { residual: graph.op("Add", [residual, addend]), delta }
      : { residual, delta: graph.op("Add", [delta, addend]) };
  }

  writeNewKv(): void {
    if (this.#newKeys.length === 0) return;
    const shape = ["B", this.#numKvHeads, 1, "S", this.#stage.headDim];
    const graph = this.#graph;
    graph.output("new_k", graph.op("Concat", this.#newKeys, { axis: 1n }), shape);
    graph.output("new_v", graph.op("Concat", this.#newValues, { axis: 1n }), shape);
  }

  #attention({ layer, index, spec, rows }: LayerPlace, state: ResidualState): ResidualState {
    const graph = this.#graph;
    const { headDim } = this.#stage;
    const { numHeads, numKvHeads } = spec;
    const inputs = this.#attentionInputs();
    const [norm, residual] = this.#norm(layer, "attentionNorm", state);
    const select = (value: string, axis: number) =>
      rows === null ? value : this.#select(value, rows, axis);

    const qkv = graph.linear(`layers.${layer}.qkv`, norm);
    const rotarySizes = graph.int64([(numHeads + numKvHeads) * headDim, numKvHeads * headDim]);
    const [qk, v] = graph.split(qkv, rotarySizes, -1);
    const rotated = graph.contrib(
      "RotaryEmbedding",
      [qk, inputs.position, inputs.cos, inputs.sin],
      {
        interleaved: spec.rotary.isInterleaved ? 1n : 0n,
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
    return { residual: select(residual, 1), delta: graph.linear(`layers.${layer}.output`, joined) };
  }

  #mlp({ layer, spec }: LayerPlace, state: ResidualState): ResidualState {
    const graph = this.#graph;
    const [norm, residual] = this.#norm(layer, "mlpNorm", state);
    const gateUp = graph.linear(`layers.${layer}.gate_up`, norm);
    const { intermediateSize } = spec;
    const [gated, upper] = graph.split(
      gateUp,
      graph.int64([intermediateSize, intermediateSize]),
      -1,
    );
    // x * sigmoid(1 * x) is SiLU.
    const activated = graph.contrib("QuickGelu", [gated], { alpha: 1 });
    const product = graph.op("Mul", [activated, upper]);
    this.#observe(graph, { layer, role: "down", input: product, size: intermediateSize, residual });
    return { residual, delta: graph.linear(`layers.${layer}.down`, product) };
  }

  #select(value: string, rows: string, axis = 1): string {
    return this.#graph.op("Gather", [value, rows], { axis: BigInt(axis) });
  }

  #norm(layer: number, role: NormRole, state: ResidualState): [norm: string, residual: string] {
    const { rmsNormEps: epsilon } = this.#stage;
    const gamma = this.#graph.plain(`layers.${layer}.${role}`);
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

  #attentionInputs() {
    const graph = this.#graph;
    const half = this.#stage.headDim / 2;
    return (this.#inputs ??= {
      position: graph.input("position_ids", "int64", ["B", "S"]),
      cos: graph.input("cos", "float32", ["positions", half]),
      sin: graph.input("sin", "float32", ["positions", half]),
      mask: graph.input("mask", "float32", ["B", 1, 1, "S", "T"]),
      scoreSplit: graph.input("score_split", "int64", [2]),
    });
  }
}
