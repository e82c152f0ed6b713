import { engineMetrics } from "../../server/metrics/engine-metrics.ts";
import { httpMetrics } from "../../server/metrics/http-metrics.ts";
import { dashboard } from "./dashboard.ts";
import { distribution, series } from "./panels.ts";
import { bucketRate, countRate, mean, quantile, rate, selector, sumRate } from "./queries.ts";

const { stepSeconds, stepTokens, expertBatch, preemptions, kvCacheUsage } = engineMetrics;
const { prefixCacheHits, prefixCacheQueries, prefixCacheBytes, grammarCacheBytes } = engineMetrics;
const { acceptedDraftTokens, acceptedPerDraft, draftTokens } = engineMetrics;
const { restarts, engines, kvBytes, weightBytes } = engineMetrics;
const inDecode = { where: 'pass="decode"' };
const grammar = { where: 'pass="decode", phase="grammar"' };
const inPrefill = { where: 'pass="prefill"' };

export const engine = dashboard({
  name: "engine",
  title: "Engine",
  about: "What the engine's thread does, step by step.",
  rows: {
    Batches: [
      series({
        title: "Batch size",
        about: "Sequences that decode together. More share the reading of the weights.",
        unit: "none",
        queries: {
          mean: mean(stepTokens, inDecode),
          p95: quantile(0.95, stepTokens, inDecode),
        },
      }),
      series({
        title: "Batch by expert, mean",
        about:
          "Sequences of a step on each expert, of steps with at least one. Many experts make small batches.",
        unit: "none",
        queries: { "{{expert}}": mean(expertBatch, { by: "expert" }) },
      }),
      distribution({
        title: "Tokens of a step",
        about: "Prefill steps have up to --prefill-chunk, decode steps one for each sequence.",
        unit: "none",
        queries: { "{{le}}": bucketRate(stepTokens) },
      }),
      distribution({
        title: "Accepted guesses",
        about:
          "Guessed tokens that the model agreed with, of the sequences and steps in which some were guessed (--draft-max).",
        unit: "none",
        queries: { "{{le}}": bucketRate(acceptedPerDraft) },
      }),
      series({
        title: "Share of guesses accepted",
        about: "Each is a decode step less. Guessing stops by itself where too few are.",
        unit: "percentunit",
        queries: { accepted: `${rate(acceptedDraftTokens)} / ${rate(draftTokens)}` },
      }),
      series({
        title: "Steps",
        about: "Passes a second.",
        unit: "ops",
        queries: { "{{pass}}": countRate(stepTokens, { by: "pass" }) },
      }),
      series({
        title: "Prompt tokens of a prefill step, mean",
        about: "Short prompts make short steps.",
        unit: "none",
        queries: { tokens: mean(stepTokens, inPrefill) },
      }),
    ],
    "Phases of a step": [
      series({
        title: "Decode step, mean",
        about:
          "expert is the layers that experts replace, kv moving keys and values, grammar the masks of structured output.",
        unit: "s",
        stacked: true,
        queries: { "{{phase}}": mean(stepSeconds, { by: "phase", ...inDecode }) },
      }),
      series({
        title: "Prefill step, mean",
        about: "A step is some chunks of the trunk, or one of the rest.",
        unit: "s",
        stacked: true,
        queries: { "{{phase}}": mean(stepSeconds, { by: "phase", ...inPrefill }) },
      }),
      series({
        title: "Decode phases, p95",
        about: "Outliers that the mean hides.",
        unit: "s",
        queries: { "{{phase}}": quantile(0.95, stepSeconds, { by: "phase", ...inDecode }) },
      }),
      series({
        title: "Masks of structured output",
        about: "What grammars and schemas add to a decode step, of steps that have any.",
        unit: "s",
        queries: {
          p50: quantile(0.5, stepSeconds, grammar),
          p95: quantile(0.95, stepSeconds, grammar),
        },
      }),
      series({
        title: "Busy with",
        about:
          "Share of the time that goes into each phase. Together at 1 the engine is full; several at their number.",
        unit: "percentunit",
        stacked: true,
        queries: { "{{pass}} {{phase}}": sumRate(stepSeconds, { by: "pass, phase" }) },
      }),
      series({
        title: "Delivery to clients (HTTP)",
        about:
          "From the end of a step to its tokens being written. High: the serving thread is behind.",
        unit: "s",
        queries: {
          p50: quantile(0.5, httpMetrics.delivery),
          p95: quantile(0.95, httpMetrics.delivery),
          mean: mean(httpMetrics.delivery),
        },
      }),
    ],
    "Memory and threads": [
      series({
        title: "KV memory",
        about: "Used share of the budget, --kv-memory.",
        unit: "percentunit",
        max: 1,
        queries: { "{{instance}}": selector(kvCacheUsage.name) },
      }),
      series({
        title: "Keys and values, weights",
        about:
          "Memory of the engine's thread: keys and values up to --kv-memory and --prefix-cache together, weights of the " +
          "model and up to --expert-memory of experts.",
        unit: "bytes",
        queries: {
          "keys and values {{instance}}": selector(kvBytes.name),
          "weights {{instance}}": selector(weightBytes.name),
        },
      }),
      series({
        title: "Prefix cache, hits",
        about:
          "Share of the prompt tokens whose keys and values were kept from an earlier prompt on the same expert.",
        unit: "percentunit",
        max: 1,
        queries: { hits: `${rate(prefixCacheHits)} / ${rate(prefixCacheQueries)}` },
      }),
      series({
        title: "Prefix cache, memory",
        about: "Of the prompt beginnings that are kept, --prefix-cache at most.",
        unit: "bytes",
        queries: { "{{instance}}": selector(prefixCacheBytes.name) },
      }),
      series({
        title: "Grammars, memory",
        about: "Of structured output's grammars and what is known of them, 64 MiB at most.",
        unit: "bytes",
        queries: { "{{instance}}": selector(grammarCacheBytes.name) },
      }),
      series({
        title: "Preemptions",
        about: "Sequences that lost their keys and values for want of memory. Expected: none.",
        unit: "ops",
        queries: { preemptions: rate(preemptions) },
      }),
      series({
        title: "Restarts",
        about: "Engines that failed and were started anew, in an hour. Expected: none.",
        unit: "none",
        queries: { "{{instance}}": `increase(${selector(restarts.name)}[1h])` },
      }),
      series({
        title: "Engines",
        about:
          "Engines that take requests. Fewer than --engines: one has failed and is being started anew.",
        unit: "none",
        queries: { "{{instance}}": selector(engines.name) },
      }),
      series({
        title: "Event loop",
        about: "Delay of the thread that serves HTTP; up to 0.01 s is how it is measured.",
        unit: "s",
        queries: {
          "p99 {{instance}}": selector("nodejs_eventloop_lag_p99_seconds"),
          "max {{instance}}": selector("nodejs_eventloop_lag_max_seconds"),
        },
      }),
      series({
        title: "Heap",
        about: "Of the thread that serves HTTP. Steady growth over hours is a leak.",
        unit: "bytes",
        queries: {
          "used {{instance}}": selector("nodejs_heap_size_used_bytes"),
          "total {{instance}}": selector("nodejs_heap_size_total_bytes"),
        },
      }),
      series({
        title: "Garbage collection",
        about: "Share of the serving thread's time.",
        unit: "percentunit",
        queries: {
          "{{kind}}": `sum by (kind) (rate(${selector("nodejs_gc_duration_seconds_sum")}[$__rate_interval]))`,
        },
      }),
    ],
  },
});
