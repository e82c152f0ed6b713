import type { LayerSpec } from "../weights/layer-spec.ts";
import { pastFeedNames } from "./feed-names.ts";
import type { GraphBuilder } from "./graph-builder.ts";

export interface AttentionInputs {
  readonly position: string;
  readonly cos: string;
  readonly sin: string;
  readonly mask: string;
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
 * Attention over the past and the new tokens.
 * @param norm `[B, S, hiddenSize]`
 * @returns what the output projection reads, `[B, S, numHeads * headDim]`, and the new keys and values,
 *   `[B, numKvHeads, 1, S, headDim]`
 */
export function writeAttention(
  graph: GraphBuilder,
  norm: string,
  place: AttentionPlace,
): { joined: string; newKey: string; newValue: string } {
  const { layer, index, spec, headDim, inputs, select } = place;
  const { numHeads, numKvHeads, rotary } = spec;
  const qkv = graph.linear(`layers.${layer}.qkv`, norm);
  const rotarySizes = graph.int64([(numHeads + numKvHeads) * headDim, numKvHeads * headDim]);
  const [qk, v] = graph.split(qkv, rotarySizes, -1);
  const rotated = graph.contrib(
    "RotaryEmbedding",
    [normalised(graph, qk, place), inputs.position, inputs.cos, inputs.sin],
    {
      interleaved: rotary.isInterleaved ? 1n : 0n,
      ...(rotary.size < headDim && {
        num_heads: BigInt(numHeads + numKvHeads),
        rotary_embedding_dim: BigInt(rotary.size),
      }),
    },
  );
  const [q, k] = graph.split(rotated, graph.int64([numHeads * headDim, numKvHeads * headDim]), -1);

  // [B, S, heads * headDim] -> [B, kvHeads, queriesPerKv (1 for k and v), S, headDim]
  const byHead = (value: string, perKv: number) =>
    graph.op(
      "Transpose",
      [graph.op("Reshape", [value, graph.int64([0, 0, numKvHeads, perKv, headDim])])],
      { perm: [0n, 2n, 3n, 1n, 4n] },
    );
  // Heads that read the same keys multiply them together where those keys are all that there are: ONNX Runtime would do so
  // for a batch of one, with other bits than for a larger one.
  const perKv = numHeads / numKvHeads;
  const selected = select(q, 1);
  const numRows = () => graph.op("Shape", [selected], { start: 1n, end: 2n });
  // A length of -1 cannot be told where there are no rows.
  const withRows = (value: string, queriesPerKv: number, rows: string) =>
    graph.op("Reshape", [
      value,
      graph.op("Concat", [graph.int64([0, 0, queriesPerKv]), rows, graph.int64([0])], { axis: 0n }),
    ]);
  const stacked = (value: string) =>
    numKvHeads > 1 ? value : withRows(value, 1, graph.op("Mul", [numRows(), graph.int64([perKv])]));
  const byQuery = (value: string) => (numKvHeads > 1 ? value : withRows(value, perKv, numRows()));
  const query = stacked(byHead(selected, perKv));
  const newKey = byHead(k, 1);
  const newValue = byHead(v, 1);

  const past = pastFeedNames(index);
  const pastKey = graph.input(past.keys, "float32", ["B", numKvHeads, 1, headDim, "P"]);
  const pastValue = graph.input(past.values, "float32", ["B", numKvHeads, 1, "P", headDim]);
  // [B, kvHeads, queriesPerKv, S, P] and [.., S, S], joined to [.., S, P + S]
  const pastScores = graph.op("MatMul", [query, pastKey]);
  const newScores = graph.contrib("FusedMatMul", [query, newKey], { transB: 1n });
  const scores = byQuery(graph.op("Concat", [pastScores, newScores], { axis: -1n }));
  const masked = graph.op("Add", [scores, select(inputs.mask, 3)]);
  const probabilities = stacked(graph.op("Softmax", [masked], { axis: -1n }));
  const [pastWeights, newWeights] = graph.split(probabilities, inputs.scoreSplit, -1);
  const mixed = byQuery(
    graph.op("Add", [
      graph.op("MatMul", [pastWeights, pastValue]),
      graph.op("MatMul", [newWeights, newValue]),
    ]),
  );
  const size = numHeads * headDim;
  // [B, kvHeads, queriesPerKv, S, headDim] -> [B, S, size]
  const byToken = graph.op("Transpose", [mixed], { perm: [0n, 3n, 1n, 2n, 4n] });
  const joined = graph.op("Reshape", [byToken, graph.int64([0, 0, size])]);
  return { joined, newKey, newValue };
}

/** Queries and keys side by side, each head of those that have a norm divided by its root mean square. */
function normalised(
  graph: GraphBuilder,
  qk: string,
  { layer, spec, headDim, rmsNormEps }: AttentionPlace,
): string {
  const { norms, numHeads, numKvHeads } = spec;
  if (!norms.includes("queryNorm") && !norms.includes("keyNorm")) return qk;
  const parts = graph.split(qk, graph.int64([numHeads * headDim, numKvHeads * headDim]), -1);
  const normed = (["queryNorm", "keyNorm"] as const).map((role, i) => {
    if (!norms.includes(role)) return parts[i]!;
    const heads = [numHeads, numKvHeads][i]!;
    const byHead = graph.op("Reshape", [parts[i]!, graph.int64([0, 0, heads, headDim])]);
    const norm = graph.norm(`layers.${layer}.${role}`, byHead, rmsNormEps);
    return graph.op("Reshape", [norm, graph.int64([0, 0, heads * headDim])]);
  });
  return graph.op("Concat", normed, { axis: -1n });
}
