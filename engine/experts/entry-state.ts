import type { BuildProgress, BuiltExpert } from "../contract/experts.ts";
import type { ExpertHandle } from "./expert-device.ts";

/** Where an expert really is, whatever was decided about its use, with what it has there. */
export type EntryState =
  | { readonly kind: "absent" }
  | { readonly kind: "planned" }
  | { readonly kind: "building"; readonly progress: BuildProgress | null }
  | StoredState
  | { readonly kind: "loading"; readonly built: BuiltExpert }
  | { readonly kind: "resident"; readonly built: BuiltExpert; readonly handle: ExpertHandle }
  | { readonly kind: "draining"; readonly built: BuiltExpert; readonly handle: ExpertHandle }
  | FailedState
  | { readonly kind: "over-budget"; readonly problem: string };

interface StoredState {
  readonly kind: "stored";
  readonly built: BuiltExpert;
  /** Why it was not loaded when that was tried last. */
  readonly problem: string | null;
}

interface FailedState {
  readonly kind: "failed";
  readonly problem: string;
  /** Null where it has to be built before it can be loaded. */
  readonly built: BuiltExpert | null;
  /** Milliseconds since the epoch; null where it is not tried again by itself. */
  readonly retryAtMs: number | null;
}

export type EntryStateKind = EntryState["kind"];

/** States that another one follows by itself. */
export const passingStates: ReadonlySet<EntryStateKind> = new Set([
  "planned",
  "building",
  "loading",
  "draining",
]);

/** What is wanted of an expert, which decides where it goes from the state that it is in. */
export type EntryIntent =
  /** It need not be in memory: where it is being loaded, it leaves as soon as it has come. */
  | { readonly kind: "store" }
  /** It is to be in memory. Where it is urgent, as somebody waits for it, it comes in place of busier ones. */
  | { readonly kind: "load"; readonly isUrgent: boolean }
  /** It gets no new sequences until a person says otherwise. */
  | { readonly kind: "suspend"; readonly problem: string };
