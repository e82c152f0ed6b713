import type { GenerateEvent } from "../engine/request.ts";
import { CancelledError } from "../engine/errors.ts";
import type { Metrics } from "./metrics.ts";

/** Feeds the events of one answer to the metrics. */
export class AnswerMeter {
  readonly #metrics: Metrics;
  readonly #promptTokens: number;
  readonly #startedMs: number;
  #lastTokenMs: number | undefined;

  /** @param startedMs - arrival of the request, on the clock of `performance.now()` */
  constructor(metrics: Metrics, promptTokens: number, startedMs: number) {
    this.#metrics = metrics;
    this.#promptTokens = promptTokens;
    this.#startedMs = startedMs;
  }

  record(event: GenerateEvent): void {
    if (event.type === "accepted") return;
    if (event.type === "routed") {
      this.#metrics.recordRoute(event);
      return;
    }
    const nowMs = performance.now();
    const sinceStart = (nowMs - this.#startedMs) / 1000;
    if (event.numTokens > 0) {
      const isFirst = this.#lastTokenMs === undefined;
      if (isFirst) this.#metrics.recordFirstToken(this.#promptTokens, sinceStart);
      this.#metrics.recordTokens(
        event.numTokens,
        this.#lastTokenMs === undefined ? undefined : (nowMs - this.#lastTokenMs) / 1000,
      );
      this.#lastTokenMs = nowMs;
    }
    if (event.type === "finish") {
      const { reason, promptTokens, completionTokens, timings } = event;
      this.#metrics.recordFinish(reason, promptTokens, completionTokens, sinceStart, timings);
    }
  }

  fail(error: unknown): void {
    this.#metrics.countUnfinished(error instanceof CancelledError ? "abort" : "error");
  }
}
