/** How builds end; label of a metric. */
export const buildEndings = ["built", "over_budget", "failed", "cancelled"] as const;

export type BuildEnding = (typeof buildEndings)[number];
