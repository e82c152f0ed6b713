import type { FromBuilder, ToBuilder } from "./builder-messages.ts";
import type { ExpertSnapshot } from "./experts.ts";
import type { ExpertCommand } from "./request.ts";

/** Answered by `expert_commanded` or `expert_refused`. */
export interface CommandMessage {
  readonly type: "command_expert";
  readonly id: number;
  readonly name: string;
  readonly command: ExpertCommand;
}

/** What the experts in the engine's thread are told. */
export type ToExperts = CommandMessage | FromBuilder;

/** What the experts in the engine's thread tell. */
export type FromExperts =
  /** Whenever something about them has changed. */
  | { readonly type: "experts"; readonly snapshots: readonly ExpertSnapshot[] }
  | { readonly type: "expert_commanded"; readonly id: number; readonly snapshot: ExpertSnapshot }
  | { readonly type: "expert_refused"; readonly id: number; readonly message: string }
  | ToBuilder;
