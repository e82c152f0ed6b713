import type { StageSpec } from "../stages/stage-spec.ts";
import type { LayerSpec, NormRole } from "../weights/layer-spec.ts";
import { writeAttention } from "./attention-graph.ts";
import type { AttentionInputs } from "./attention-graph.ts";
import {
  feedNames,
  maskFeed,
  queryRowsFeed,
  resultNames,
  rotaryFeeds,
  rotaryRowsFeed,
} from "./feed-names.ts";
import type { AttendingTokens } from "./feed-names.ts";
import type { GraphBuilder } from "./graph-builder.ts";
import type { ModuleObserver } from "./module-observer.ts";
import { normOf, sumOf } from "./residual-state.ts";
import type { ResidualState } from "./residual-state.ts";

interface LayerPlace {
  /** In the model. */
  readonly layer: number;
  /** In the stage. */
  readonly index: number;
  readonly spec: LayerSpec;
  /** Tokens that go on after attention; null for all. */
  readonly rows: string | null;
}

/** Writes the layers of a stage, one after the other. */
export class LayerWriter {
  readonly #graph: GraphBuilder;
  readonly #stage: StageSpec;
  readonly #observe: ModuleObserver;
  readonly #newKv: string[] = [];
  readonly #inputs = new Set<string>();
  #numKvHeads = 0;

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
    if (this.#newKv.length === 0) return;
    const shape = ["B", 2 * this.#numKvHeads, 1, 1, "S", this.#stage.headDim];
    const graph = this.#graph;
    graph.output(resultNames.newKv, graph.op("Concat", this.#newKv, { axis: 1n }), shape);
  }

  #attention(place: LayerPlace, state: ResidualState): ResidualState {
    const { layer, index, spec, rows } = place;
    const graph = this.#graph;
    const { headDim, rmsNormEps } = this.#stage;
    const select = (value: string, axis: number) =>
      rows === null ? value : this.#select(value, rows, axis);
    const inputs = this.#attentionInputs(spec, rows === null ? "all" : "kept");
    const [norm, residual] = this.#normed(place, "attentionNorm", state);
    const { joined, newKv } = writeAttention(graph, norm, {
      ...{ layer, index, spec, headDim, rmsNormEps, inputs, select },
    });
    this.#newKv.push(newKv);
    this.#numKvHeads += spec.numKvHeads;
    const size = spec.numHeads * headDim;
    this.#observe(graph, { layer, role: "output", input: joined, size, residual });
    const kept = select(residual, 1);
    const output = graph.linear(`layers.${layer}.output`, joined);
    return { residual: kept, delta: this.#added(place, output, "attentionPostNorm") };
  }

  #mlp(place: LayerPlace, state: ResidualState): ResidualState {
    const { layer, spec } = place;
    const graph = this.#graph;
    const [norm, residual] = this.#normed(place, "mlpNorm", state);
    const gateUp = graph.linear(`layers.${layer}.gate_up`, norm);
    const { intermediateSize, activation } = spec;
    const [gated, upper] = graph.split(
      gateUp,
      graph.int64([intermediateSize, intermediateSize]),
      -1,
    );
    // x * sigmoid(1 * x) is SiLU; FastGelu is GELU by its approximation with tanh.
    const activated =
      activation === "silu"
        ? graph.contrib("QuickGelu", [gated], { alpha: 1 })
        : graph.contrib("FastGelu", [gated]);
    const product = graph.op("Mul", [activated, upper]);
    this.#observe(graph, { layer, role: "down", input: product, size: intermediateSize, residual });
    const down = graph.linear(`layers.${layer}.down`, product);
    return { residual, delta: this.#added(place, down, "mlpPostNorm") };
  }

  /** What a module reads: the residual stream, or its norm. */
  #normed(
    place: LayerPlace,
    role: NormRole,
    state: ResidualState,
  ): [norm: string, residual: string] {
    if (place.spec.norms.includes(role)) {
      return normOf(this.#graph, state, this.#path(place, role), this.#stage.rmsNormEps);
    }
    const sum = sumOf(this.#graph, state);
    return [sum, sum];
  }

  /** What a module adds to the residual stream. */
  #added(place: LayerPlace, value: string, role: NormRole): string {
    const { norms, residualScale } = place.spec;
    const path = this.#path(place, role);
    const normed = norms.includes(role)
      ? this.#graph.norm(path, value, this.#stage.rmsNormEps)
      : value;
    return this.#graph.scaled(normed, residualScale);
  }

  #path({ layer }: LayerPlace, role: NormRole): string {
    return `layers.${layer}.${role}`;
  }

  #select(value: string, rows: string, axis = 1): string {
    return this.#graph.op("Gather", [value, rows], { axis: BigInt(axis) });
  }

  #attentionInputs(
    { numHeads, numKvHeads, rotary, window }: LayerSpec,
    tokens: AttendingTokens,
  ): AttentionInputs {
    const half = rotary.size / 2;
    const { cos, sin } = rotaryFeeds(rotary.table);
    return {
      rotaryRows: this.#input(rotaryRowsFeed({ numHeads, numKvHeads }), "int64", [
        ...["B", `S * ${numHeads + 2 * numKvHeads}`],
      ]),
      cos: this.#input(cos, "float32", ["positions", half]),
      sin: this.#input(sin, "float32", ["positions", half]),
      mask: this.#input(maskFeed(window, tokens), "float32", [
        ...["B", 1, 1],
        ...[`${tokens} matrices`, `${tokens} rows`, "P + T"],
      ]),
      queryRows: this.#input(queryRowsFeed(tokens), "int64", [2]),
      tailStart: this.#input(feedNames.tailStart, "int64", ["B"]),
      scoreSplit: this.#input(feedNames.scoreSplit, "int64", [2]),
    };
  }

  /** An input that several layers share. */
  #input(...input: Parameters<GraphBuilder["input"]>): string {
    const [name] = input;
    if (this.#inputs.has(name)) return name;
    this.#inputs.add(name);
    return this.#graph.input(...input);
  }
}
