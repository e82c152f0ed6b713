import { routingMetrics } from "../../server/metrics/routing-metrics.ts";
import { dashboard } from "./dashboard.ts";
import { distribution, number, series } from "./panels.ts";
import { bucketRate, mean, quantile, rate, share } from "./queries.ts";

const { decisions, confidence, seconds, expertRequests } = routingMetrics;

export const routing = dashboard({
  name: "routing",
  title: "Routing",
  about: "Which tasks prompts are of, how sure the router is, and what answers them.",
  rows: {
    Decisions: [
      number({
        title: "Mean confidence",
        about: "Of the router's decisions. A fall means prompts that the router was not fitted on.",
        unit: "percentunit",
        queries: { confidence: mean(confidence) },
      }),
      number({
        title: "Turned away",
        about: "Prompts that are unlike those of all tasks: the unpruned model answers them.",
        unit: "percentunit",
        queries: { share: share(decisions, 'reason="out-of-distribution"') },
      }),
      number({
        title: "Named by clients",
        about: "Requests that name their task, by the model's name or a header.",
        unit: "percentunit",
        queries: { share: share(decisions, 'reason="override"') },
      }),
      number({
        title: "By rule",
        about: "Requests whose task the operator's rules say.",
        unit: "percentunit",
        queries: { share: share(decisions, 'reason="rule"') },
      }),
      number({
        title: "Sticky",
        about:
          "Turns that keep the task of their conversation although the prompt alone is of another.",
        unit: "percentunit",
        queries: { share: share(decisions, 'reason="sticky"') },
      }),
      number({
        title: "Cost of a decision, p95",
        about: "Adding up the trunk's output, and deciding.",
        unit: "s",
        queries: { p95: quantile(0.95, seconds) },
      }),
      series({
        title: "Tasks",
        about: "Answers by the task of their prompt.",
        unit: "reqps",
        stacked: true,
        queries: { "{{task}}": rate(decisions, { by: "task" }) },
      }),
      distribution({
        title: "Confidence",
        about: "How the router's confidence lies, over time.",
        unit: "percentunit",
        queries: { "{{le}}": bucketRate(confidence) },
      }),
      series({
        title: "Why that task",
        about:
          "matched and out-of-distribution are the router's; override, rule and sticky overrule it.",
        unit: "reqps",
        stacked: true,
        queries: { "{{reason}}": rate(decisions, { by: "reason" }) },
      }),
    ],
    "What answers": [
      series({
        title: "Experts by task",
        about: "Which expert answers prompts of which task.",
        unit: "reqps",
        stacked: true,
        queries: { "{{task}} by {{expert}}": rate(expertRequests, { by: "task, expert" }) },
      }),
      series({
        title: "Why that expert",
        about:
          "expert is the task's own. building, loading and memory pass; failed, over-budget and suspended do not.",
        unit: "reqps",
        stacked: true,
        queries: { "{{reason}}": rate(expertRequests, { by: "reason" }) },
      }),
      series({
        title: "Answered by the task's own expert",
        about:
          "Share of the answers to prompts of a task. Expected to come near 1 once all is built.",
        unit: "percentunit",
        max: 1,
        queries: {
          share: `(${rate(expertRequests, { where: 'reason="expert"' })} or vector(0)) / ${rate(expertRequests, { where: 'task!="none"' })}`,
        },
      }),
      series({
        title: "Cost of a decision",
        about: "Part of the prefill, once per request.",
        unit: "s",
        queries: { p50: quantile(0.5, seconds), p95: quantile(0.95, seconds), mean: mean(seconds) },
      }),
    ],
  },
});
