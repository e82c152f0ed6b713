import { engineMetrics } from "./engine-metrics.ts";
import { expertMetrics, perExpertMetrics } from "./expert-metrics.ts";
import { httpMetrics } from "./http-metrics.ts";
import type { MetricDefinition } from "./metric.ts";
import { requestMetrics } from "./request-metrics.ts";
import { routingMetrics } from "./routing-metrics.ts";

export interface MetricArea {
  readonly title: string;
  readonly metrics: readonly MetricDefinition[];
}

/** All metrics but those of the process. */
export const metricAreas: readonly MetricArea[] = [
  { title: "Requests", metrics: Object.values(requestMetrics) },
  { title: "HTTP and WebSocket", metrics: Object.values(httpMetrics) },
  { title: "Engine", metrics: Object.values(engineMetrics) },
  { title: "Routing", metrics: Object.values(routingMetrics) },
  {
    title: "Experts",
    metrics: [...Object.values(perExpertMetrics), ...Object.values(expertMetrics)],
  },
];
