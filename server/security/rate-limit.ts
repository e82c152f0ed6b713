import { LRUCache } from "lru-cache";
import type { ClientId } from "./api-keys.ts";
import type { Rate } from "../config/rate.ts";

/** What is left to a client. */
export interface Quota {
  readonly isAllowed: boolean;
  /** Requests that may come at once when none came for a while. */
  readonly limit: number;
  /** Whole requests that may still come now. */
  readonly remaining: number;
  /** Until `remaining` is `limit` again. */
  readonly resetMs: number;
  /** Until one more request may come; 0 where it may come now. */
  readonly waitMs: number;
}

/** Bounds the memory; a client that is forgotten starts with a full bucket. */
const maxRemembered = 100_000;

/** One token bucket for each client: as many requests as the rate says may come at once, and it fills steadily. */
export class RateLimit {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  readonly #buckets = new LRUCache<ClientId, { tokens: number; filledMs: number }>({
    max: maxRemembered,
  });

  /** @param nowMs - milliseconds on a steady clock */
  constructor(rate: Rate, nowMs: () => number) {
    this.#rate = rate;
    this.#nowMs = nowMs;
  }

  /** Counts a request where it is allowed. */
  take(client: ClientId): Quota {
    const { requests, perMs } = this.#rate;
    const nowMs = this.#nowMs();
    const bucket = this.#buckets.get(client) ?? { tokens: requests, filledMs: nowMs };
    const filled = ((nowMs - bucket.filledMs) * requests) / perMs;
    let tokens = Math.min(requests, bucket.tokens + filled);
    const isAllowed = tokens >= 1;
    if (isAllowed) tokens -= 1;
    this.#buckets.set(client, { tokens, filledMs: nowMs });
    const msFor = (amount: number) => Math.max(0, Math.ceil((amount * perMs) / requests));
    return {
      isAllowed,
      limit: requests,
      remaining: Math.floor(tokens),
      resetMs: msFor(requests - tokens),
      waitMs: msFor(1 - tokens),
    };
  }
}
