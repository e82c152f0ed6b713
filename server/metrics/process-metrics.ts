import { collectDefaultMetrics, type Registry } from "prom-client";

/** Gauges under names that only counters may have; each is a sum over one without `_total`. */
const misnamed = [
  "nodejs_active_handles_total",
  "nodejs_active_requests_total",
  "nodejs_active_resources_total",
];

/** prom-client's: memory, CPU time and files of the process, event loop and heap of the thread that serves HTTP. */
export function registerProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  for (const name of misnamed) registry.removeSingleMetric(name);
}
