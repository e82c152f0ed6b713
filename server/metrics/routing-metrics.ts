import { confidenceEdges, routingEdges } from "./buckets.ts";
import type { MetricDefinition } from "./metric.ts";

/** Which task a prompt is of, and what answers it. */
export const routingMetrics = {
  decisions: {
    name: "seap_routing_decisions_total",
    type: "counter",
    unit: "requests",
    help: "Answers by the task of their prompt, and why it got that task.",
    labels: {
      task: "the tasks, and none",
      reason:
        "override (the client named it), rule (the operator did), sticky (the conversation has it), no-router, and the router's reasons",
    },
  },
  confidence: {
    name: "seap_routing_confidence",
    type: "histogram",
    unit: "share",
    help: "Confidence of the router's decisions, 0 to 1.",
    buckets: confidenceEdges,
  },
  seconds: {
    name: "seap_routing_seconds",
    type: "histogram",
    unit: "seconds",
    help: "What the router's decisions cost: adding up the trunk's output, and deciding.",
    buckets: routingEdges,
  },
  expertRequests: {
    name: "seap_expert_requests_total",
    type: "counter",
    unit: "requests",
    help: "Answers by the expert that gave them, the task of their prompt, and why it was that expert.",
    labels: {
      expert: "dense, general and the tasks",
      task: "the tasks, and none",
      reason:
        "expert (the task's own), no-task, building, loading, memory (those in use, or busier, leave no room), load (a shared one is faster for all), failed, over-budget, suspended, off",
    },
  },
} as const satisfies Record<string, MetricDefinition>;
