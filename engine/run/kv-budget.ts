import type { ModelRunner } from "./model-runner.ts";

export interface KvBudget {
  /** All that is ever allocated. */
  readonly totalBytes: number;
  /** What the sequences may need of it: the rest is for the moments in which one moves, or an expert is timed. */
  readonly sequenceBytes: number;
}

export interface KvBudgetOptions {
  /** Asked for. */
  readonly maxBytes: number;
  readonly contextLength: number;
  /** KV positions that timing an expert takes for a moment; 0 where there are none. */
  readonly timedPositions: number;
}

/** What was asked for, but at least one sequence of the largest length: it could never run otherwise. */
export function kvBudget(
  runner: Pick<ModelRunner, "kvBytesFor" | "moveBytesFor">,
  { maxBytes, contextLength, timedPositions }: KvBudgetOptions,
): KvBudget {
  const reserved =
    runner.moveBytesFor(contextLength) +
    (timedPositions > 0 ? runner.kvBytesFor(timedPositions) : 0);
  const totalBytes = Math.max(maxBytes, runner.kvBytesFor(contextLength) + reserved);
  return { totalBytes, sequenceBytes: totalBytes - reserved };
}
