import { engineMetrics } from "../../server/metrics/engine-metrics.ts";
import { httpMetrics } from "../../server/metrics/http-metrics.ts";
import { requestMetrics } from "../../server/metrics/request-metrics.ts";
import { dashboard } from "./dashboard.ts";
import { number, series } from "./panels.ts";
import { mean, quantile, rate, selector, share, total } from "./queries.ts";

const { running, waiting, parked, finished, promptTokens, generationTokens } = requestMetrics;

type LatencyMetric = (typeof requestMetrics)[
  "timeToFirstToken" | "interTokenLatency" | "duration" | "queue"];

function percentiles(title: string, about: string, metric: LatencyMetric) {
  const queries = {
    p50: quantile(0.5, metric),
    p95: quantile(0.95, metric),
    p99: quantile(0.99, metric),
    mean: mean(metric),
  };
  return series({ title, about, unit: "s", queries });
}

export const overview = dashboard({
  name: "overview",
  title: "Overview",
  about: "Traffic, latency, errors and what the machine has left.",
  rows: {
    Traffic: [
      number({
        title: "Answers a second",
        about: "Answers that ended, in whatever way.",
        unit: "reqps",
        queries: { answers: rate(finished) },
      }),
      number({
        title: "Tokens a second",
        about: "Generated tokens, of all answers together.",
        unit: "tokens/s",
        queries: { tokens: rate(generationTokens) },
      }),
      number({
        title: "First token, p95",
        about: "Of 20 requests, 19 have their first token after this time.",
        unit: "s",
        queries: { p95: quantile(0.95, requestMetrics.timeToFirstToken) },
      }),
      number({
        title: "Between tokens, p95",
        about: "Of 20 tokens, 19 come after this time.",
        unit: "s",
        queries: { p95: quantile(0.95, requestMetrics.interTokenLatency) },
      }),
      number({
        title: "Server errors",
        about: "Share of the HTTP responses that are 5xx. Expected: none.",
        unit: "percentunit",
        queries: { errors: share(httpMetrics.httpRequests, 'status=~"5.."') },
      }),
      number({
        title: "Waiting",
        about: "Requests in the queue. Some at times are fine, more and more are not.",
        unit: "none",
        queries: { waiting: total(waiting) },
      }),
      series({
        title: "HTTP responses",
        about: "By endpoint and status; 499 is a client that left before the end.",
        unit: "reqps",
        stacked: true,
        queries: {
          "{{endpoint}} {{status}}": rate(httpMetrics.httpRequests, { by: "endpoint, status" }),
        },
      }),
      series({
        title: "Ends of answers",
        about: "stop and length are whole answers, abort is a client that left or a shutdown.",
        unit: "reqps",
        stacked: true,
        queries: { "{{finished_reason}}": rate(finished, { by: "finished_reason" }) },
      }),
      series({
        title: "Tokens",
        about: "Read from prompts, and generated.",
        unit: "tokens/s",
        queries: { prompt: rate(promptTokens), generated: rate(generationTokens) },
      }),
    ],
    Latency: [
      percentiles(
        "Time to first token",
        "Arrival to first token: the queue and the prefill.",
        requestMetrics.timeToFirstToken,
      ),
      percentiles(
        "Between tokens",
        "From one token of an answer to the next. It grows with the batch and with prompts of others.",
        requestMetrics.interTokenLatency,
      ),
      percentiles(
        "Whole answer",
        "Arrival to last token. It depends on how long answers are.",
        requestMetrics.duration,
      ),
      percentiles(
        "In the queue",
        "Time before the prefill began. High while the first token is late: too many requests.",
        requestMetrics.queue,
      ),
      series({
        title: "Parts of an answer, mean",
        about: "Where the time of an answer goes.",
        unit: "s",
        stacked: true,
        queries: {
          queue: mean(requestMetrics.queue),
          prefill: mean(requestMetrics.prefill),
          decode: mean(requestMetrics.decode),
        },
      }),
      series({
        title: "Lengths, mean",
        about: "Tokens of prompts and of answers.",
        unit: "short",
        queries: {
          prompt: mean(requestMetrics.promptLength),
          answer: mean(requestMetrics.generationLength),
        },
      }),
    ],
    "Errors and saturation": [
      series({
        title: "Errors",
        about: "By the code that clients were told.",
        unit: "reqps",
        stacked: true,
        queries: { "{{code}}": rate(httpMetrics.errors, { by: "code" }) },
      }),
      series({
        title: "Refused for a limit",
        about:
          "queue: the server is full. parked: too many wait for experts. rate and concurrency: a client is over its own limit.",
        unit: "reqps",
        stacked: true,
        queries: { "{{reason}}": rate(httpMetrics.rejections, { by: "reason" }) },
      }),
      series({
        title: "Running and waiting",
        about: "Requests in the batch, in the queue, and those parked until their expert is there.",
        unit: "none",
        queries: { running: total(running), waiting: total(waiting), parked: total(parked) },
      }),
      series({
        title: "KV memory",
        about: "Used share of the budget. At 1, sequences lose their place and are read again.",
        unit: "percentunit",
        max: 1,
        queries: { "{{instance}}": selector(engineMetrics.kvCacheUsage.name) },
      }),
      series({
        title: "Memory of the process",
        about: "Weights, experts, keys and values, and the rest.",
        unit: "bytes",
        queries: { "{{instance}}": selector("process_resident_memory_bytes") },
      }),
      series({
        title: "CPU",
        about: "Busy cores; while tokens are generated, as many as the engine has threads.",
        unit: "none",
        queries: {
          "{{instance}}": `rate(${selector("process_cpu_seconds_total")}[$__rate_interval])`,
        },
      }),
      series({
        title: "Open connections",
        about: "WebSocket connections, and all open files of the process.",
        unit: "none",
        queries: {
          WebSocket: total(httpMetrics.webSocketConnections),
          files: `sum(${selector("process_open_fds")})`,
        },
      }),
      series({
        title: "WebSocket messages",
        about: "Received ones, and sent ones by type of event.",
        unit: "ops",
        queries: {
          "{{direction}} {{type}}": rate(httpMetrics.webSocketMessages, { by: "direction, type" }),
        },
      }),
    ],
  },
});
