import type { ServeReason } from "./experts.ts";

/** The right to run one sequence on a middle. While it is held, the expert stays in memory. */
export interface ExpertLease {
  /** Name of the middle: a task, `general` or `dense`. */
  readonly expert: string;
  readonly task: string | null;
  readonly reason: ServeReason;
  /** The sequence has left the middle for good. May be called again. */
  release(): void;
}

export type ExpertChoice =
  | { readonly kind: "run"; readonly lease: ExpertLease }
  /** `ready` never rejects: it resolves when the expert is there or it is clear that it will not be. Then choose again. */
  | { readonly kind: "wait"; readonly ready: Promise<void> };

export interface ChooseOptions {
  /** Whether to wait for an expert that is being built or loaded. @default what the task's policy says */
  readonly mustWait?: boolean;
  /** The client named the task: it gets its own expert whatever the load is. */
  readonly isAssigned?: boolean;
}

/** Chooses what a sequence runs on, once its task is known. */
export interface ExpertChooser {
  /** @param task null for none of them */
  choose(task: string | null, options?: ChooseOptions): ExpertChoice;
}
