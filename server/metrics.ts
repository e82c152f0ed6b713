import { collectDefaultMetrics, Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { EngineStats, FinishReason, GenerateTimings, RoutedEvent } from "../engine/request.ts";
import {
  confidenceEdges,
  firstTokenEdges,
  interTokenEdges,
  phaseEdges,
  routingEdges,
  tokenCountEdges,
} from "./metric-buckets.ts";
import { registerExpertMetrics } from "./experts/expert-metrics.ts";
import type { ExpertMetricsSource } from "./experts/expert-metrics.ts";
import { noTask } from "./routing/rules.ts";
import { registerVllmAlias } from "./vllm-alias.ts";

/** Label of HTTP metrics; paths that are none of these count as `other`. */
export type Endpoint =
  | "chat_completions"
  | "completions"
  | "models"
  | "experts"
  | "responses"
  | "tokenize"
  | "detokenize"
  | "tokenizer_info"
  | "apply_template"
  | "openapi"
  | "websocket"
  | "health"
  | "ready"
  | "metrics"
  | "other";

export interface MetricsOptions {
  readonly registry: Registry;
  /** Label `model_name` of the vLLM names; while it is undefined they have no values. */
  readonly modelName: () => string | undefined;
  /** Absent while the model loads: its gauges are 0 then. */
  readonly stats: () => EngineStats | undefined;
  /** Open WebSocket connections. */
  readonly webSockets: () => number;
  /** Absent while the model loads, and where there are no experts. */
  readonly experts: () => ExpertMetricsSource | undefined;
}

/** All metrics of the server. Labels come from closed sets: never a prompt, key or user. */
export class Metrics {
  readonly registry: Registry;
  readonly #modelName: () => string | undefined;
  readonly #httpRequests: Counter<"endpoint" | "status">;
  readonly #errors: Counter<"code">;
  readonly #webSocketMessages: Counter<"direction" | "type">;
  readonly #finished: Counter<"finished_reason">;
  readonly #promptTokens: Counter;
  readonly #generationTokens: Counter;
  readonly #timeToFirstToken: Histogram;
  readonly #interTokenLatency: Histogram;
  readonly #duration: Histogram;
  readonly #queue: Histogram;
  readonly #prefill: Histogram;
  readonly #decode: Histogram;
  readonly #promptLength: Histogram;
  readonly #generationLength: Histogram;
  readonly #expertRequests: Counter<"expert" | "task" | "reason">;
  readonly #routingDecisions: Counter<"task" | "reason">;
  readonly #routingConfidence: Histogram;
  readonly #routingSeconds: Histogram;

  constructor({ registry, modelName, stats, webSockets, experts }: MetricsOptions) {
    this.registry = registry;
    this.#modelName = modelName;
    collectDefaultMetrics({ register: registry });

    const registers = [registry];
    this.#httpRequests = new Counter({
      name: "seap_http_requests_total",
      help: "HTTP responses by endpoint and status; 499 is a client that left before the end.",
      labelNames: ["endpoint", "status"],
      registers,
    });
    this.#gauge("seap_websocket_connections", "Open WebSocket connections.", null, webSockets);
    this.#webSocketMessages = new Counter({
      name: "seap_websocket_messages_total",
      help: "WebSocket messages: sent ones by type of event, received ones as text or binary.",
      labelNames: ["direction", "type"],
      registers,
    });
    this.#errors = new Counter({
      name: "seap_request_errors_total",
      help: "Errors by the code the client was told, those inside a stream included.",
      labelNames: ["code"],
      registers,
    });

    this.#gauge(
      "seap_requests_running",
      "Requests in the batch.",
      "vllm:num_requests_running",
      () => {
        return stats()?.runningRequests;
      },
    );
    this.#gauge(
      "seap_requests_waiting",
      "Requests in the queue.",
      "vllm:num_requests_waiting",
      () => {
        return stats()?.waitingRequests;
      },
    );
    this.#gauge("seap_waiting_tokens", "Prompt tokens of the requests in the queue.", null, () => {
      return stats()?.waitingTokens;
    });
    this.#gauge(
      "seap_kv_cache_usage_ratio",
      "Used share of the KV memory budget, 0 to 1.",
      "vllm:kv_cache_usage_perc",
      () => stats()?.kvCacheUsage,
    );

    this.#finished = new Counter({
      name: "seap_requests_finished_total",
      help: "Answers by how they ended: stop, length, abort (client gone or shutdown), error.",
      labelNames: ["finished_reason"],
      registers,
    });
    this.#alias(this.#finished, "seap_requests_finished_total", "vllm:request_success_total");
    this.#promptTokens = this.#counter(
      "seap_prompt_tokens_total",
      "Prompt tokens processed.",
      "vllm:prompt_tokens_total",
    );
    this.#generationTokens = this.#counter(
      "seap_generation_tokens_total",
      "Tokens generated.",
      "vllm:generation_tokens_total",
    );

    this.#timeToFirstToken = this.#histogram(
      "seap_time_to_first_token_seconds",
      "Arrival of the request to its first token.",
      "vllm:time_to_first_token_seconds",
      firstTokenEdges,
    );
    this.#interTokenLatency = this.#histogram(
      "seap_inter_token_latency_seconds",
      "Time from one token of an answer to the next.",
      "vllm:inter_token_latency_seconds",
      interTokenEdges,
    );
    this.#duration = this.#histogram(
      "seap_request_duration_seconds",
      "Arrival of the request to its last token.",
      "vllm:e2e_request_latency_seconds",
      phaseEdges,
    );
    this.#queue = this.#histogram(
      "seap_request_queue_seconds",
      "Time in the waiting queue.",
      "vllm:request_queue_time_seconds",
      phaseEdges,
    );
    this.#prefill = this.#histogram(
      "seap_request_prefill_seconds",
      "Start of the prefill to the first token.",
      "vllm:request_prefill_time_seconds",
      phaseEdges,
    );
    this.#decode = this.#histogram(
      "seap_request_decode_seconds",
      "First token to the last.",
      "vllm:request_decode_time_seconds",
      phaseEdges,
    );
    this.#promptLength = this.#histogram(
      "seap_request_prompt_tokens",
      "Prompt tokens of finished requests.",
      "vllm:request_prompt_tokens",
      tokenCountEdges,
    );
    this.#generationLength = this.#histogram(
      "seap_request_generation_tokens",
      "Generated tokens of finished requests.",
      "vllm:request_generation_tokens",
      tokenCountEdges,
    );

    this.#expertRequests = new Counter({
      name: "seap_expert_requests_total",
      help: "Answers by the expert that gave them, the task of their prompt, and why it was that expert.",
      labelNames: ["expert", "task", "reason"],
      registers,
    });
    registerExpertMetrics(registry, experts);

    this.#routingDecisions = new Counter({
      name: "seap_routing_decisions_total",
      help: "Answers by the task of their prompt, and why it got that task.",
      labelNames: ["task", "reason"],
      registers,
    });
    this.#routingConfidence = new Histogram({
      name: "seap_routing_confidence",
      help: "Confidence of the router's decisions, 0 to 1.",
      buckets: confidenceEdges,
      registers,
    });
    this.#routingSeconds = new Histogram({
      name: "seap_routing_seconds",
      help: "What the router's decisions cost: adding up the trunk's output, and deciding.",
      buckets: routingEdges,
      registers,
    });
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

  recordRoute({ task, reason, confidence, seconds, expert, serveReason }: RoutedEvent): void {
    this.#routingDecisions.inc({ task: task ?? noTask, reason });
    this.#expertRequests.inc({ expert, task: task ?? noTask, reason: serveReason });
    if (reason === "override" || reason === "rule" || reason === "no-router") return;
    this.#routingConfidence.observe(confidence);
    this.#routingSeconds.observe(seconds);
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
    reason: FinishReason,
    promptTokens: number,
    completionTokens: number,
    durationSeconds: number,
    timings: GenerateTimings,
  ): void {
    this.#finished.inc({ finished_reason: reason });
    this.#promptLength.observe(promptTokens);
    this.#generationLength.observe(completionTokens);
    this.#duration.observe(durationSeconds);
    this.#queue.observe(timings.queueSeconds);
    this.#prefill.observe(timings.prefillSeconds);
    this.#decode.observe(timings.decodeSeconds);
  }

  countUnfinished(reason: "abort" | "error"): void {
    this.#finished.inc({ finished_reason: reason });
  }

  #counter(name: string, help: string, vllmName: string): Counter {
    const counter = new Counter({ name, help, registers: [this.registry] });
    this.#alias(counter, name, vllmName);
    return counter;
  }

  #gauge(
    name: string,
    help: string,
    vllmName: string | null,
    read: () => number | undefined,
  ): void {
    const gauge = new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read() ?? 0);
      },
    });
    if (vllmName !== null) this.#alias(gauge, name, vllmName);
  }

  #histogram(name: string, help: string, vllmName: string, buckets: number[]): Histogram {
    const histogram = new Histogram({ name, help, buckets, registers: [this.registry] });
    this.#alias(histogram, name, vllmName);
    return histogram;
  }

  #alias(source: Counter | Gauge | Histogram, name: string, vllmName: string): void {
    registerVllmAlias(this.registry, source, name, vllmName, this.#modelName);
  }
}
