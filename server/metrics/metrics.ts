import type { Counter, Histogram, Registry } from "prom-client";
import type { EngineStats, FinishEvent, RoutedEvent } from "../../engine/contract/request.ts";
import type { StepReport } from "../../engine/contract/step-meter.ts";
import { registerExpertMetrics } from "./expert-samples.ts";
import type { ExpertMetricsSource } from "./expert-samples.ts";
import { engineMetrics } from "./engine-metrics.ts";
import { httpMetrics } from "./http-metrics.ts";
import { rejectionReasons, type Endpoint, type RejectionReason } from "./labels.ts";
import { MetricSet } from "./metric-set.ts";
import type { LabelOf } from "./metric.ts";
import { registerProcessMetrics } from "./process-metrics.ts";
import { requestMetrics } from "./request-metrics.ts";
import { routingMetrics } from "./routing-metrics.ts";
import { noTask } from "../config/rules.ts";

export interface MetricsOptions {
  readonly registry: Registry;
  /** Label `model_name` of the vLLM names; while it is undefined they have no values. */
  readonly modelName: () => string | undefined;
  /** Absent while the model loads: its gauges are 0 then. */
  readonly stats: () => EngineStats | undefined;
  /** Whether the engine takes requests; absent while the model loads for the first time. */
  readonly isUp: () => boolean | undefined;
  /** Engines that take requests; absent as `isUp` is. */
  readonly enginesUp: () => number | undefined;
  /** Open WebSocket connections. */
  readonly webSockets: () => number;
  /** Absent while the model loads, and where there are no experts. */
  readonly experts: () => ExpertMetricsSource | undefined;
}

type Counts<Definition extends Parameters<MetricSet["counter"]>[0]> = Counter<LabelOf<Definition>>;
type Measures<Definition extends Parameters<MetricSet["histogram"]>[0]> = Histogram<
  LabelOf<Definition>
>;

/** All metrics of the server. Labels come from closed sets: never a prompt, key or user. */
export class Metrics {
  readonly registry: Registry;
  readonly #httpRequests: Counts<typeof httpMetrics.httpRequests>;
  readonly #errors: Counts<typeof httpMetrics.errors>;
  readonly #rejections: Counts<typeof httpMetrics.rejections>;
  readonly #delivery: Measures<typeof httpMetrics.delivery>;
  readonly #webSocketMessages: Counts<typeof httpMetrics.webSocketMessages>;
  readonly #finished: Counts<typeof requestMetrics.finished>;
  readonly #promptTokens: Counter;
  readonly #generationTokens: Counter;
  readonly #timeToFirstToken: Histogram;
  readonly #interTokenLatency: Histogram;
  readonly #timePerOutputToken: Histogram;
  readonly #duration: Histogram;
  readonly #queue: Histogram;
  readonly #prefill: Histogram;
  readonly #decode: Histogram;
  readonly #promptLength: Histogram;
  readonly #generationLength: Histogram;
  readonly #stepSeconds: Measures<typeof engineMetrics.stepSeconds>;
  readonly #stepTokens: Measures<typeof engineMetrics.stepTokens>;
  readonly #expertBatch: Measures<typeof engineMetrics.expertBatch>;
  readonly #draftTokens: Counter;
  readonly #acceptedDraftTokens: Counter;
  readonly #acceptedPerDraft: Histogram;
  readonly #preemptions: Counter;
  readonly #prefixCacheQueries: Counter;
  readonly #prefixCacheHits: Counter;
  readonly #routingDecisions: Counts<typeof routingMetrics.decisions>;
  readonly #routingConfidence: Histogram;
  readonly #routingSeconds: Histogram;
  readonly #expertRequests: Counts<typeof routingMetrics.expertRequests>;

  constructor(options: MetricsOptions) {
    const { registry, modelName, stats, isUp, enginesUp, webSockets, experts } = options;
    this.registry = registry;
    registerProcessMetrics(registry);
    const set = new MetricSet(registry, modelName);

    this.#httpRequests = set.counter(httpMetrics.httpRequests);
    this.#errors = set.counter(httpMetrics.errors);
    this.#rejections = set.counter(httpMetrics.rejections);
    // A rate is of the first one too.
    for (const reason of rejectionReasons) this.#rejections.inc({ reason }, 0);
    this.#delivery = set.histogram(httpMetrics.delivery);
    set.gauge(httpMetrics.webSocketConnections, webSockets);
    this.#webSocketMessages = set.counter(httpMetrics.webSocketMessages);

    set.gauge(requestMetrics.running, () => stats()?.runningRequests);
    set.gauge(requestMetrics.waiting, () => stats()?.waitingRequests);
    set.gauge(requestMetrics.parked, () => stats()?.parkedRequests);
    set.gauge(requestMetrics.waitingTokens, () => stats()?.waitingTokens);
    this.#finished = set.counter(requestMetrics.finished);
    for (const reason of ["stop", "length", "abort", "error"]) {
      this.#finished.inc({ finished_reason: reason }, 0);
    }
    this.#promptTokens = set.counter(requestMetrics.promptTokens);
    this.#generationTokens = set.counter(requestMetrics.generationTokens);
    this.#timeToFirstToken = set.histogram(requestMetrics.timeToFirstToken);
    this.#interTokenLatency = set.histogram(requestMetrics.interTokenLatency);
    this.#timePerOutputToken = set.histogram(requestMetrics.timePerOutputToken);
    this.#duration = set.histogram(requestMetrics.duration);
    this.#queue = set.histogram(requestMetrics.queue);
    this.#prefill = set.histogram(requestMetrics.prefill);
    this.#decode = set.histogram(requestMetrics.decode);
    this.#promptLength = set.histogram(requestMetrics.promptLength);
    this.#generationLength = set.histogram(requestMetrics.generationLength);

    this.#stepSeconds = set.histogram(engineMetrics.stepSeconds);
    this.#stepTokens = set.histogram(engineMetrics.stepTokens);
    this.#expertBatch = set.histogram(engineMetrics.expertBatch);
    this.#draftTokens = set.counter(engineMetrics.draftTokens);
    this.#acceptedDraftTokens = set.counter(engineMetrics.acceptedDraftTokens);
    this.#acceptedPerDraft = set.histogram(engineMetrics.acceptedPerDraft);
    this.#preemptions = set.counter(engineMetrics.preemptions);
    set.sampled(engineMetrics.restarts, () => [[{}, stats()?.restarts ?? 0]]);
    set.sampled(engineMetrics.up, () => {
      const value = isUp();
      return value === undefined ? [] : [[{}, value ? 1 : 0]];
    });
    set.sampled(engineMetrics.engines, () => {
      const value = enginesUp();
      return value === undefined ? [] : [[{}, value]];
    });
    set.gauge(engineMetrics.kvCacheUsage, () => stats()?.kvCacheUsage);
    set.gauge(engineMetrics.kvBytes, () => stats()?.kvBytes);
    set.gauge(engineMetrics.weightBytes, () => stats()?.weightBytes);
    this.#prefixCacheQueries = set.counter(engineMetrics.prefixCacheQueries);
    this.#prefixCacheHits = set.counter(engineMetrics.prefixCacheHits);
    set.gauge(engineMetrics.prefixCacheBytes, () => stats()?.prefixCacheBytes);
    set.gauge(engineMetrics.grammarCacheBytes, () => stats()?.grammarCacheBytes);

    this.#routingDecisions = set.counter(routingMetrics.decisions);
    this.#routingConfidence = set.histogram(routingMetrics.confidence);
    this.#routingSeconds = set.histogram(routingMetrics.seconds);
    this.#expertRequests = set.counter(routingMetrics.expertRequests);
    registerExpertMetrics(set, experts);
  }

  countWebSocketMessage(direction: "received" | "sent", type: string): void {
    this.#webSocketMessages.inc({ direction, type });
  }

  countHttp(endpoint: Endpoint, status: number): void {
    this.#httpRequests.inc({ endpoint, status });
  }

  countError(code: string): void {
    this.#errors.inc({ code });
  }

  /** In addition to `countError`. */
  countRejection(reason: RejectionReason): void {
    this.#rejections.inc({ reason });
  }

  /** @param deliverySeconds from the end of the last step to its tokens being written to the clients */
  recordSteps({ steps, preemptions }: StepReport, deliverySeconds: number): void {
    this.#delivery.observe(deliverySeconds);
    this.#preemptions.inc(preemptions);
    for (const { pass, tokens, seconds, experts, drafts } of steps) {
      for (const [phase, phaseSeconds] of Object.entries(seconds)) {
        this.#stepSeconds.observe({ pass, phase }, phaseSeconds);
      }
      for (const { guessed, accepted } of drafts) {
        this.#draftTokens.inc(guessed);
        this.#acceptedDraftTokens.inc(accepted);
        this.#acceptedPerDraft.observe(accepted);
      }
      if (tokens > 0) this.#stepTokens.observe({ pass }, tokens);
      for (const [expert, rows] of Object.entries(experts)) {
        this.#expertBatch.observe({ expert }, rows);
      }
    }
  }

  recordRoute({ task, reason, confidence, seconds, expert, serveReason }: RoutedEvent): void {
    this.#routingDecisions.inc({ task: task ?? noTask, reason });
    this.#expertRequests.inc({ expert, task: task ?? noTask, reason: serveReason });
    if (reason === "override" || reason === "rule" || reason === "no-router") return;
    this.#routingConfidence.observe(confidence);
    this.#routingSeconds.observe(seconds);
  }

  /** Of prompts that were not answered. */
  countReadTokens(promptTokens: number): void {
    this.#promptTokens.inc(promptTokens);
  }

  recordFirstToken(promptTokens: number, seconds: number): void {
    this.#promptTokens.inc(promptTokens);
    this.#timeToFirstToken.observe(seconds);
  }

  /** @param seconds - since the tokens before these, or undefined for the first */
  recordTokens(numTokens: number, seconds: number | undefined): void {
    this.#generationTokens.inc(numTokens);
    if (seconds === undefined) return;
    for (let i = 0; i < numTokens; i++) this.#interTokenLatency.observe(seconds / numTokens);
  }

  recordFinish(
    { reason, promptTokens, cachedTokens, completionTokens, timings }: FinishEvent,
    durationSeconds: number,
  ): void {
    this.#prefixCacheQueries.inc(promptTokens);
    this.#prefixCacheHits.inc(cachedTokens);
    this.#finished.inc({ finished_reason: reason });
    this.#promptLength.observe(promptTokens);
    this.#generationLength.observe(completionTokens);
    this.#duration.observe(durationSeconds);
    this.#queue.observe(timings.queueSeconds);
    this.#prefill.observe(timings.prefillSeconds);
    this.#decode.observe(timings.decodeSeconds);
    if (completionTokens > 1) {
      this.#timePerOutputToken.observe(timings.decodeSeconds / (completionTokens - 1));
    }
  }

  countUnfinished(reason: "abort" | "error"): void {
    this.#finished.inc({ finished_reason: reason });
  }
}
