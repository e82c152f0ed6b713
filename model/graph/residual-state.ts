import type { GraphBuilder } from "./graph-builder.ts";

/** The residual stream; `delta` is the last module's output, not yet added. */
export interface ResidualState {
  readonly residual: string;
  readonly delta: string | null;
}

export function sumOf(graph: GraphBuilder, { residual, delta }: ResidualState): string {
  return delta === null ? residual : graph.op("Add", [residual, delta]);
}

/** RMS norm of the residual stream with the weight `name`; the sum is taken on the way. */
export function normOf(
  graph: GraphBuilder,
  { residual, delta }: ResidualState,
  name: string,
  epsilon: number,
): [norm: string, residual: string] {
  if (delta !== null) return graph.skipNorm(residual, delta, graph.plain(name), epsilon);
  return [graph.norm(name, residual, epsilon), residual];
}
