import { OverloadedError } from "../contract/errors.ts";
import type { EngineStats, GenerateRequest } from "../contract/request.ts";

export interface QueueLimits {
  /** Sequences that run at once. */
  readonly maxBatch: number;
  /** Requests that may wait, besides those that the batch has room for. */
  readonly maxWaitingRequests: number;
  /** Prompt tokens that may wait; a single request may have more. */
  readonly maxWaitingTokens: number;
}

type Load = Pick<EngineStats, "runningRequests" | "waitingRequests" | "waitingTokens">;

/** @throws OverloadedError when there is no room for one more request */
export function checkRoom(
  { promptTokenIds }: Pick<GenerateRequest, "promptTokenIds">,
  { runningRequests, waitingRequests, waitingTokens }: Load,
  { maxBatch, maxWaitingRequests, maxWaitingTokens }: QueueLimits,
): void {
  const free = Math.max(0, maxBatch - runningRequests);
  const isFull =
    waitingRequests >= maxWaitingRequests + free ||
    (waitingRequests > 0 && waitingTokens + promptTokenIds.length > maxWaitingTokens);
  if (isFull) throw new OverloadedError(waitingRequests, 1);
}
