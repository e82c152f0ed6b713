import type { BuildProgress, BuiltExpert } from "./experts.ts";

/** What the engine's thread asks of the builder, which lives in another. */
export type ToBuilder =
  | { readonly type: "find_expert" | "build_expert"; readonly id: number; readonly task: string }
  /** The answer is not waited for any more. */
  | { readonly type: "stop_build"; readonly id: number };

export type FromBuilder =
  | { readonly type: "build_progress"; readonly id: number; readonly progress: BuildProgress }
  | { readonly type: "builder_done"; readonly id: number; readonly built: BuiltExpert | null }
  | { readonly type: "builder_failed"; readonly id: number; readonly message: string };
