import type { ClientId } from "./api-keys.ts";
import { RateLimitError } from "../base/access-errors.ts";
import type { Rate } from "../config/rate.ts";
import { type Quota, RateLimit } from "./rate-limit.ts";

export interface AdmissionOptions {
  /** Undefined where there is no limit. */
  readonly rate: Rate | undefined;
  /** Requests that a client may have running; undefined where there is no limit. */
  readonly maxConcurrent: number | undefined;
  /** Milliseconds on a steady clock. */
  readonly nowMs: () => number;
}

/** Decides whether a client may begin another request. */
export class Admission {
  readonly #rateLimit: RateLimit | undefined;
  readonly #maxConcurrent: number;
  readonly #running = new Map<ClientId, number>();

  constructor({ rate, maxConcurrent = Infinity, nowMs }: AdmissionOptions) {
    this.#rateLimit = rate && new RateLimit(rate, nowMs);
    this.#maxConcurrent = maxConcurrent;
  }

  /**
   * @param onQuota - told what is left before the decision, where there is a rate
   * @returns to be called when the request has ended; a second call does nothing.
   * @throws RateLimitError
   */
  admit(client: ClientId, onQuota: (quota: Quota) => void = () => undefined): () => void {
    const quota = this.#rateLimit?.take(client);
    if (quota !== undefined) {
      onQuota(quota);
      if (!quota.isAllowed) {
        const reached = `requests: Limit ${quota.limit}`;
        throw new RateLimitError(reached, Math.max(1, Math.ceil(quota.waitMs / 1000)), "rate");
      }
    }
    const running = this.#running.get(client) ?? 0;
    if (running >= this.#maxConcurrent) {
      const reached = `requests at the same time: Limit ${this.#maxConcurrent}`;
      throw new RateLimitError(reached, 1, "concurrency");
    }
    this.#running.set(client, running + 1);
    let hasEnded = false;
    return () => {
      if (hasEnded) return;
      hasEnded = true;
      const left = this.#running.get(client)! - 1;
      if (left > 0) this.#running.set(client, left);
      else this.#running.delete(client);
    };
  }
}
