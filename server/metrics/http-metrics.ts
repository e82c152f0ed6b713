import type { MetricDefinition } from "./metric.ts";
import { deliveryEdges } from "./buckets.ts";

/** What comes in and goes out, whatever it asks for. */
export const httpMetrics = {
  httpRequests: {
    name: "seap_http_requests_total",
    type: "counter",
    unit: "requests",
    help: "HTTP responses by endpoint and status; 499 is a client that left before the end.",
    labels: { endpoint: "the endpoints, and other", status: "HTTP status codes" },
  },
  errors: {
    name: "seap_request_errors_total",
    type: "counter",
    unit: "requests",
    help: "Errors by the code the client was told, those inside a stream included.",
    labels: { code: "the error codes" },
  },
  rejections: {
    name: "seap_admission_rejections_total",
    type: "counter",
    unit: "requests",
    help: "Requests that were refused for a limit: the queue's, that of requests that wait for their expert, or the client's of requests in a time or at once.",
    labels: { reason: "queue, parked, rate, concurrency" },
    vllm: "vllm:admission_rejections_total",
  },
  delivery: {
    name: "seap_http_delivery_seconds",
    type: "histogram",
    unit: "seconds",
    help: "From the end of an engine step to its tokens being written to all clients.",
    buckets: deliveryEdges,
  },
  webSocketConnections: {
    name: "seap_websocket_connections",
    type: "gauge",
    unit: "connections",
    help: "Open WebSocket connections.",
  },
  webSocketMessages: {
    name: "seap_websocket_messages_total",
    type: "counter",
    unit: "messages",
    help: "WebSocket messages: sent ones by type of event, received ones as text or binary.",
    labels: { direction: "received, sent", type: "text, binary, and the types of events" },
  },
} as const satisfies Record<string, MetricDefinition>;
