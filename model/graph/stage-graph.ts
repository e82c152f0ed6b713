import type { StageModel } from "../stages/stage-spec.ts";
import { feedNames, resultNames } from "./feed-names.ts";
import { GraphBuilder } from "./graph-builder.ts";
import type { GraphModel } from "./graph-builder.ts";
import { LayerWriter } from "./layer-writer.ts";
import type { ModuleObserver } from "./module-observer.ts";
import { sumOf } from "./residual-state.ts";
import type { ResidualState } from "./residual-state.ts";

/**
 * Writes one stage as an ONNX model. B sequences, S new tokens each, P past positions and T of the tail:
 *
 * | feed | shape | |
 * |---|---|---|
 * | `token_ids` or `hidden` | `[B, S]` int64, `[B, S, hiddenSize]` | |
 * | `rotary_rows.h.k` of layers with h heads and k KV heads | `[B, S * (h + 2 k)]` int64 | by token and head, rows of `cos`, `sin` |
 * | `cos`, `sin`; `cos.i`, `sin.i` of other tables | `[rows, rotary size / 2]` | of the positions needed |
 * | `past_k.i`, `past_v.i` | `[B, kvHeads, 1, 1, headDim, P]`, `[B, kvHeads, 1, 1, P, headDim]` | per layer with attention |
 * | `tail.i` | `[B, 2 kvHeads, 1, 1, T, headDim]` | keys, and values behind them, of the positions after the past |
 * | `tail_start` | `[B]` int64 | place of the first new token in the tail |
 * | `score_split` | `[2]` int64 | P, T |
 * | `query_rows` | `[2]` int64: m, n | queries of a head are in m matrices of n rows; m n = S |
 * | `mask`; `mask.w` of layers with a window | `[B, 1, 1, m, n, P + T]` | added to the scores |
 * | `rows` | `[R]` int64 | of the S new tokens; a stage with the head |
 * | `kept_query_rows`, `kept_mask` | as those above, of the R rows | in the last layer of a stage with the head |
 * | `logit_rows` | `[L]` int64 | of the R rows; a stage with the head |
 *
 * Results: `hidden_out` `[B, S, hiddenSize]`, or of a stage with the head `logits` `[B, L, vocabSize]` and `hidden_out`
 * `[B, R, hiddenSize]`, the input of the last norm; and the new keys and values of all layers side by side, `new_kv`
 * `[B, sum of 2 kvHeads, 1, 1, S, headDim]`.
 *
 * The cache stays outside: ONNX Runtime for Node copies every output, so a graph that returned it would
 * copy it at each step. The new tokens are put into the tail, which alone is copied; scores over past and tail are
 * computed apart and joined for the softmax. Past keys are fed transposed, and every query head is a batch item: at n = 1
 * each product is then a vector times a row-major matrix, which needs no packing and does not depend on B. Where past and
 * tail meet is for the caller to say: where that depends on a token's position alone, so do the sums over them, and a
 * token has the same bits with n = 1 whether it comes alone or with those behind it.
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
    ? graph.scaled(
        graph.lookUp("embedding", graph.input(feedNames.tokenIds, "int64", ["B", "S"])),
        spec.embeddingScale,
      )
    : graph.input(feedNames.hidden, "float32", ["B", "S", hiddenSize]);
  const rows = hasHead ? graph.input(feedNames.rows, "int64", ["R"]) : null;
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
    graph.output(resultNames.hidden, hidden, ["B", "R", hiddenSize]);
    const selected = graph.op(
      "Gather",
      [hidden, graph.input(feedNames.logitRows, "int64", ["L"])],
      {
        axis: 1n,
      },
    );
    const norm = graph.norm("final_norm", selected, spec.rmsNormEps);
    const logits = graph.scaled(graph.linear("lm_head", norm), spec.logitScale);
    graph.output(resultNames.logits, logits, ["B", "L", vocabSize]);
  } else {
    graph.output(resultNames.hidden, sumOf(graph, state), ["B", "S", hiddenSize]);
  }
  return graph.finish(name);
}
