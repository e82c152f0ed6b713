import type { GraphBuilder } from "../../model/graph/graph-builder.ts";
import type { ModuleObserver, ObservedModule } from "../../model/graph/module-observer.ts";

/** The modules of a layer whose inputs are measured. */
export const observedRoles = ["output", "down"] as const;

/**
 * The part of a matrix x xᵀ that one product computes: rows `start` to `end`, columns 0 to `end`. Blocks
 * cover the lower triangle, which is little more than half of the work.
 */
export interface OuterBlock {
  readonly start: number;
  readonly end: number;
  readonly feed: string;
  readonly output: string;
}

const blockRows = 256;

export function outerBlocks(role: ObservedModule["role"], size: number): OuterBlock[] {
  return Array.from({ length: Math.ceil(size / blockRows) }, (_, block) => ({
    start: block * blockRows,
    end: Math.min((block + 1) * blockRows, size),
    feed: `${role}.outer_before.${block}`,
    output: `${role}.outer.${block}`,
  }));
}

/**
 * Lets a stage of one dense layer measure the inputs of its output and down projection too, so that activations stay
 * inside the graph. Besides the feeds and results of `writeStage`:
 *
 * | feed | shape | |
 * |---|---|---|
 * | `token_rows` | `[T]` int64 | the tokens to count, of the B · S of the batch |
 * | `<role>.outer_before.b` | as `<role>.outer.b` | of the tokens before, added to |
 *
 * | result for `output` and `down` | shape | |
 * |---|---|---|
 * | `<role>.sum`, `<role>.sum_of_squares` | `[size]` | of x, x² |
 * | `<role>.weight`, `<role>.weighted_sum` | `[1]`, `[size]` | of w, w x |
 * | `<role>.outer.b` | see {@link OuterBlock} | of w x xᵀ |
 *
 * A token's weight w is 1 / mean square of the residual stream before the module. The last two rows of
 * either table only with comoment.
 */
export function calibrationObserver({
  hiddenSize,
  withComoment,
}: {
  readonly hiddenSize: number;
  /** Weighted sums of x xᵀ as well. */
  readonly withComoment: boolean;
}): ModuleObserver {
  let tokenRows: string | null = null;
  return (graph, module) => {
    tokenRows ??= graph.input("token_rows", "int64", ["T"]);
    const { role, size } = module;
    const x = rowsOf(graph, module.input, size, tokenRows); // [T, size]
    const overTokens = graph.int64([0]);
    const total = (value: string): string =>
      graph.op("ReduceSum", [value, overTokens], { keepdims: 0n });
    graph.output(`${role}.sum`, total(x), [size]);
    // Three times as fast as ReduceSumSquare.
    const squares = total(graph.op("Mul", [x, x]));
    graph.output(`${role}.sum_of_squares`, squares, [size]);
    if (!withComoment) return;
    const residual = rowsOf(graph, module.residual, hiddenSize, tokenRows);
    const square = graph.op("Mul", [residual, residual]);
    const meanSquare = graph.op("ReduceMean", [square, graph.int64([1])], { keepdims: 1n });
    const weight = graph.op("Reciprocal", [meanSquare]); // [T, 1]
    graph.output(`${role}.weight`, total(weight), [1]);
    graph.output(`${role}.weighted_sum`, total(graph.op("Mul", [x, weight])), [size]);
    writeOuter(graph, module, graph.op("Mul", [x, graph.op("Sqrt", [weight])]));
  };
}

/** The rows of a `[B, S, size]` value that are counted: `[T, size]`. */
function rowsOf(graph: GraphBuilder, value: string, size: number, tokenRows: string): string {
  const rows = graph.op("Reshape", [value, graph.int64([-1, size])]);
  return graph.op("Gather", [rows, tokenRows], { axis: 0n });
}

function writeOuter(graph: GraphBuilder, { role, size }: ObservedModule, scaled: string): void {
  const columns = (start: number, end: number): string =>
    graph.op("Slice", [scaled, graph.int64([start]), graph.int64([end]), graph.int64([1])]);
  for (const { start, end, feed, output } of outerBlocks(role, size)) {
    const shape = [end - start, end];
    const before = graph.input(feed, "float32", shape);
    const rows = columns(start, end);
    const product = graph.op("Gemm", [rows, columns(0, end), before], { transA: 1n });
    graph.output(output, product, shape);
  }
}
