import type { LayerSpec, NormRole } from "../weights/layer-spec.ts";
import { pastFeedNames } from "./feed-names.ts";
import type { GraphBuilder } from "./graph-builder.ts";

export interface AttentionInputs {
  /** Of each head of each token, one after the other: rows of `cos` and `sin`. */
  readonly rotaryRows: string;
  readonly cos: string;
  readonly sin: string;
  /** Of the tokens that go on. */
  readonly mask: string;
  /** Of the tokens that go on, `[2]`: in how many matrices a head's queries are, and in how many rows each. */
  readonly queryRows: string;
  readonly tailStart: string;
  readonly scoreSplit: string;
}

export interface AttentionPlace {
  /** In the model. */
  readonly layer: number;
  /** In the stage. */
  readonly index: number;
  readonly spec: LayerSpec;
  readonly headDim: number;
  readonly rmsNormEps: number;
  readonly inputs: AttentionInputs;
  /** Drops the tokens that do not go on, along an axis. */
  readonly select: (value: string, axis: number) => string;
}

/**
 * Attention over the past and the tail, in which the new tokens have their places.
 * @param norm `[B, S, hiddenSize]`
 * @returns what the output projection reads, `[B, R, numHeads * headDim]` of the tokens that go on, and the new keys with the
 *   new values behind them, `[B, 2 * numKvHeads, 1, 1, S, headDim]`
 */
export function writeAttention(
  graph: GraphBuilder,
  norm: string,
  place: AttentionPlace,
): { joined: string; newKv: string } {
  const { layer, index, spec, headDim, inputs, select } = place;
  const { numHeads, numKvHeads, rotary } = spec;
  const numAll = numHeads + 2 * numKvHeads;
  const qkv = normalised(graph, graph.linear(`layers.${layer}.qkv`, norm), place);
  // Each head as a token of its own: values have a row that turns nothing.
  const rotated = graph.contrib(
    "RotaryEmbedding",
    [
      graph.op("Reshape", [qkv, graph.int64([0, -1, headDim])]),
      ...[inputs.rotaryRows, inputs.cos, inputs.sin],
    ],
    {
      interleaved: rotary.isInterleaved ? 1n : 0n,
      ...(rotary.size < headDim && { num_heads: 1n, rotary_embedding_dim: BigInt(rotary.size) }),
    },
  );
  const byToken = graph.op("Reshape", [rotated, graph.int64([0, -1, numAll, 1, 1, headDim])]);
  const sizes = graph.int64([numHeads, 2 * numKvHeads]);
  // [B, S, heads, 1, 1, headDim] -> [B, heads, 1, 1, S, headDim]
  const byHead = (value: string) =>
    graph.op("Transpose", [value], { perm: [0n, 2n, 3n, 4n, 1n, 5n] });
  const isStacked = numKvHeads === 1;
  const [q, kv] = isStacked
    ? graph.split(byToken, sizes, 2)
    : graph.split(byHead(byToken), sizes, 1);
  const newKv = isStacked ? byHead(kv) : kv;
  const queries = isStacked ? stackedQueries(graph, place) : separateQueries(graph, place);
  const query = queries.enter(select(q, isStacked ? 1 : 4));

  const names = pastFeedNames(index);
  const input = (name: string, heads: number, rows: number | string, columns: number | string) =>
    graph.input(name, "float32", ["B", heads, 1, 1, rows, columns]);
  const pastKey = input(names.keys, numKvHeads, headDim, "P");
  const pastValue = input(names.values, numKvHeads, "P", headDim);
  const tail = graph.op(
    "TensorScatter",
    [input(names.tail, 2 * numKvHeads, "T", headDim), newKv, inputs.tailStart],
    { axis: -2n },
  );
  const [tailKey, tailValue] = graph.split(tail, graph.int64([numKvHeads, numKvHeads]), 1);

  const pastScores = graph.op("MatMul", [query, pastKey]);
  const tailScores = graph.contrib("FusedMatMul", [query, tailKey], { transB: 1n });
  const scores = graph.op("Concat", [pastScores, tailScores], { axis: -1n });
  const probabilities = queries.softmax(scores);
  const [pastWeights, tailWeights] = graph.split(probabilities, inputs.scoreSplit, -1);
  const mixed = graph.op("Add", [
    graph.op("MatMul", [pastWeights, pastValue]),
    graph.op("MatMul", [tailWeights, tailValue]),
  ]);
  return { joined: queries.leave(mixed), newKv };
}

/** How queries are laid out as matrices that are multiplied with keys and values of `[B, kvHeads, 1, 1, ..]`. */
interface Queries {
  /** From `[B, numHeads, 1, 1, R, headDim]`, or of stacked ones `[B, R, numHeads, 1, 1, headDim]`. */
  readonly enter: (value: string) => string;
  /** Of the scores that such a matrix gives, in its layout. */
  readonly softmax: (scores: string) => string;
  /** To `[B, R, numHeads * headDim]`. */
  readonly leave: (value: string) => string;
}

/** `[B, kvHeads, queriesPerKv, matrices, rows, headDim]`: each query head has matrices of its own. */
function separateQueries(
  graph: GraphBuilder,
  { spec: { numHeads, numKvHeads }, headDim, inputs }: AttentionPlace,
): Queries {
  return {
    enter: (value) => {
      // Where no token goes on, 0 rows are as many as there are.
      const shape = graph.join([
        ...[graph.int64([0, numKvHeads, numHeads / numKvHeads]), inputs.queryRows],
        graph.int64([headDim]),
      ]);
      return graph.op("Reshape", [value, shape]);
    },
    softmax: (scores) =>
      graph.op("Softmax", [graph.op("Add", [scores, inputs.mask])], { axis: -1n }),
    leave: (value) => {
      const byToken = graph.op("Transpose", [value], { perm: [0n, 3n, 4n, 1n, 2n, 5n] });
      return graph.op("Reshape", [byToken, graph.int64([0, -1, numHeads * headDim])]);
    },
  };
}

/**
 * `[B, 1, 1, matrices, rows * numHeads, headDim]`: heads that read the same keys multiply them together where those keys are
 * all that there are. ONNX Runtime would do so for a batch of one, with other bits than for a larger one.
 */
function stackedQueries(
  graph: GraphBuilder,
  { spec: { numHeads }, headDim, inputs }: AttentionPlace,
): Queries {
  const { queryRows, mask } = inputs;
  const sizeOf = (value: string, dim: bigint) =>
    graph.op("Shape", [value], { start: dim, end: dim + 1n });
  const reshape = (value: string, parts: readonly string[]) =>
    graph.op("Reshape", [value, graph.op("Concat", parts, { axis: 0n })], { allowzero: 1n });
  const stacked = (value: string, columns: string) => {
    const rows = graph.op("Mul", [queryRows, graph.int64([1, numHeads])]);
    return reshape(value, [sizeOf(value, 0n), graph.int64([1, 1]), rows, columns]);
  };
  return {
    enter: (value) => stacked(value, graph.int64([headDim])),
    softmax: (scores) => {
      const width = sizeOf(scores, 5n);
      const byHead = (value: string, heads: number) =>
        reshape(value, [
          ...[sizeOf(value, 0n), graph.int64([1]), queryRows],
          ...[graph.int64([heads]), width],
        ]);
      const masked = graph.op("Add", [byHead(scores, numHeads), byHead(mask, 1)]);
      return stacked(graph.op("Softmax", [masked], { axis: -1n }), width);
    },
    leave: (value) => graph.op("Reshape", [value, graph.int64([0, -1, numHeads * headDim])]),
  };
}

/** Queries, keys and values side by side, each head of those that have a norm divided by its root mean square. */
function normalised(
  graph: GraphBuilder,
  qkv: string,
  { layer, spec, headDim, rmsNormEps }: AttentionPlace,
): string {
  const { norms, numHeads, numKvHeads } = spec;
  if (!norms.includes("queryNorm") && !norms.includes("keyNorm")) return qkv;
  const normed = (value: string, role: NormRole, heads: number) => {
    if (!norms.includes(role)) return value;
    const byHead = graph.op("Reshape", [value, graph.int64([0, 0, heads, headDim])]);
    const norm = graph.norm(`layers.${layer}.${role}`, byHead, rmsNormEps);
    return graph.op("Reshape", [norm, graph.int64([0, 0, heads * headDim])]);
  };
  const [qSize, kvSize] = [numHeads * headDim, numKvHeads * headDim];
  const [q, kv] = graph.split(qkv, graph.int64([qSize, 2 * kvSize]), -1);
  const [k, v] = graph.split(kv, graph.int64([kvSize, kvSize]), -1);
  const parts = [normed(q, "queryNorm", numHeads), normed(k, "keyNorm", numKvHeads), v];
  return graph.op("Concat", parts, { axis: -1n });
}
