import type { ExpertState, ServeReason } from "../contract/experts.ts";

/** Why a sequence whose expert is in this state runs on what it runs on. */
export const reasonOf: Readonly<Record<ExpertState, ServeReason>> = {
  absent: "building",
  planned: "building",
  building: "building",
  stored: "memory",
  loading: "loading",
  resident: "expert",
  draining: "loading",
  failed: "failed",
  "over-budget": "over-budget",
  suspended: "suspended",
  off: "off",
};

/** Reasons to run on the middle that all tasks share; without the own expert, all others mean dense. */
export const sharingReasons: ReadonlySet<ServeReason> = new Set([
  "building",
  "loading",
  "memory",
  "load",
]);

/** Reasons that keep a sequence from an expert that was to be there. */
export const missReasons: ReadonlySet<ServeReason> = new Set([
  "building",
  "loading",
  "memory",
  "failed",
]);
