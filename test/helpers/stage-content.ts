import type { StageModel } from "../../model/graph/stage-graph.ts";

/** A stage's description and bytes, to be compared wherever the bytes lie. */
export function stageContent({ graph, weights, ...stage }: StageModel) {
  return {
    ...stage,
    graph: Uint8Array.from(graph),
    weights: Array.from(weights, ([name, bytes]) => [name, Uint8Array.from(bytes)] as const),
  };
}
