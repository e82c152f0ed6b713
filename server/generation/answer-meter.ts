import type { GenerateEvent } from "../../engine/contract/request.ts";
import { CancelledError } from "../../engine/contract/errors.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { AnswerTrail } from "../tracing/answer-trail.ts";

export interface AnswerMeterOptions {
  readonly metrics: Metrics;
  readonly trail: AnswerTrail;
  /** Arrival of the request, on the clock of `performance.now()`. */
  readonly startedMs: number;
}

/** Feeds the events of one answer to the metrics and to its trail. */
export class AnswerMeter {
  readonly #metrics: Metrics;
  readonly #trail: AnswerTrail;
  readonly #startedMs: number;
  #lastTokenMs: number | undefined;

  constructor({ metrics, trail, startedMs }: AnswerMeterOptions) {
    this.#metrics = metrics;
    this.#trail = trail;
    this.#startedMs = startedMs;
  }

  record(event: GenerateEvent): void {
    this.#trail.record(event);
    if (event.type === "accepted") return;
    if (event.type === "routed") {
      this.#metrics.recordRoute(event);
      return;
    }
    const nowMs = performance.now();
    const sinceStart = (nowMs - this.#startedMs) / 1000;
    if (event.numTokens > 0) {
      const isFirst = this.#lastTokenMs === undefined;
      if (isFirst)
        this.#metrics.recordFirstToken(this.#trail.request.promptTokenIds.length, sinceStart);
      this.#metrics.recordTokens(
        event.numTokens,
        this.#lastTokenMs === undefined ? undefined : (nowMs - this.#lastTokenMs) / 1000,
      );
      this.#lastTokenMs = nowMs;
    }
    if (event.type === "finish") {
      this.#metrics.recordFinish(event, sinceStart);
    }
  }

  fail(error: unknown): void {
    this.#metrics.countUnfinished(error instanceof CancelledError ? "abort" : "error");
  }
}
