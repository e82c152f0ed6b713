import type { GraphBuilder } from "./graph-builder.ts";

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
