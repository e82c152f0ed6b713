import type { PromptSpans } from "../../router/prompt-spans.ts";
import type { DecisionReason } from "../../router/router.ts";
import type { TaskPolicy } from "./experts.ts";

/** Why a request got its task. */
export type RouteReason =
  | DecisionReason
  | "override" // the client named it
  | "rule" // the operator did
  | "sticky" // the conversation has it, and the prompt does not clearly speak for another
  | "no-router"; // nothing chose

/** What the server says of a request's task. Null is none of the tasks. */
export interface RoutingRequest {
  /** What of the prompt says which task it is. */
  readonly spans: PromptSpans;
  /** The task, whatever the prompt is. */
  readonly assigned?: { readonly task: string | null; readonly reason: "override" | "rule" };
  /** The conversation's task so far. */
  readonly sticky?: {
    readonly task: string | null;
    /** Log-odds over the second best task with which another task takes over. */
    readonly margin: number;
  };
  /** What the client wants while its task's expert is not there. @default the task's policy */
  readonly whileBuilding?: TaskPolicy["whileBuilding"];
}

/** What was decided on a prompt. */
export interface Route {
  /** Null for none of the tasks. */
  readonly task: string | null;
  /** That the task is the right one, 0 to 1: 1 where a person chose, 0 where nothing did. */
  readonly confidence: number;
  readonly reason: RouteReason;
}
