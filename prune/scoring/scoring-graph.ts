import type { ModelWeights } from "../../model/weights/config.ts";
import { GraphBuilder } from "../../model/graph/graph-builder.ts";
import type { GraphModel } from "../../model/graph/graph-builder.ts";
import { headTensors } from "../../model/stages/head-tensors.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";

/**
 * Final norm, LM head and what is asked of the logits, which stay inside: a row of them has as many values
 * as the vocabulary.
 *
 * | feed | shape | |
 * |---|---|---|
 * | `hidden` | `[R, hiddenSize]` | after the last layer |
 * | `targets` | `[R, 1]` int64 | token ids |
 * | `reference` | `[R, hiddenSize]` | of the model to compare with; only with comparison |
 *
 * | result | shape | |
 * |---|---|---|
 * | `log_prob` | `[R, 1]` | of the target, nats |
 * | `top` | `[R]` | the most likely token |
 * | `kl` | `[R]` | from the reference's distribution to this one, nats; only with comparison |
 * | `reference_top` | `[R]` | only with comparison |
 */
export function buildScoring(
  weights: ModelWeights,
  { format, withComparison }: { readonly format: WeightFormat; readonly withComparison: boolean },
): GraphModel & { readonly name: string } {
  const { hiddenSize, rmsNormEps } = weights.config;
  const name = withComparison ? "comparison" : "scoring";
  const graph = new GraphBuilder(headTensors(weights, format));
  const gamma = graph.plain("final_norm");
  const normOf = (input: string): string =>
    graph.op(
      "SimplifiedLayerNormalization",
      [graph.input(input, "float32", ["R", hiddenSize]), gamma],
      {
        epsilon: rmsNormEps,
        axis: -1n,
      },
    );
  /** Log-probabilities of the whole vocabulary; both models' rows in one product. */
  const logProbsOf = (norm: string): string =>
    graph.op("LogSoftmax", [graph.linear("lm_head", norm)], { axis: -1n });
  const top = (logProbs: string): string =>
    graph.op("Cast", [graph.op("ArgMax", [logProbs], { axis: -1n, keepdims: 0n })], { to: 1n });

  const norm = normOf("hidden");
  let logProbs: string;
  if (withComparison) {
    const both = logProbsOf(graph.op("Concat", [norm, normOf("reference")], { axis: 0n }));
    const shape = graph.op("Shape", [norm], { start: 0n, end: 1n });
    const sizes = graph.op("Concat", [shape, shape], { axis: 0n });
    const [own, reference] = graph.split(both, sizes, 0);
    logProbs = own;
    const terms = graph.op("Mul", [
      graph.op("Exp", [reference]),
      graph.op("Sub", [reference, own]),
    ]);
    graph.output("kl", graph.op("ReduceSum", [terms, graph.int64([1])], { keepdims: 0n }), ["R"]);
    graph.output("reference_top", top(reference), ["R"]);
  } else {
    logProbs = logProbsOf(norm);
  }
  const targets = graph.input("targets", "int64", ["R", 1]);
  graph.output("log_prob", graph.op("GatherElements", [logProbs, targets], { axis: 1n }), ["R", 1]);
  graph.output("top", top(logProbs), ["R"]);
  return { ...graph.finish(name), name };
}
