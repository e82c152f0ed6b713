import { batchEdges, draftEdges, stepEdges, stepTokenEdges } from "./buckets.ts";
import type { MetricDefinition } from "./metric.ts";

/** What the engine's thread does, step by step. */
export const engineMetrics = {
  stepSeconds: {
    name: "seap_engine_step_seconds",
    type: "histogram",
    unit: "seconds",
    help: "What a step of the engine took, by the phase of it.",
    labels: {
      pass: "prefill, decode",
      phase:
        "kv (moving keys and values), trunk, expert (the layers that experts replace), head, grammar (masks of structured output), sample",
    },
    buckets: stepEdges,
  },
  stepTokens: {
    name: "seap_engine_step_tokens",
    type: "histogram",
    unit: "tokens",
    help: "Tokens of a step: of a prompt in prefill, one of each sequence of the batch in decode.",
    labels: { pass: "prefill, decode" },
    buckets: stepTokenEdges,
    vllm: "vllm:iteration_tokens_total",
  },
  draftTokens: {
    name: "seap_draft_tokens_total",
    type: "counter",
    unit: "tokens",
    help: "Tokens that were guessed and computed together with one that was due.",
    vllm: "vllm:spec_decode_num_draft_tokens_total",
  },
  acceptedDraftTokens: {
    name: "seap_accepted_draft_tokens_total",
    type: "counter",
    unit: "tokens",
    help: "Guessed tokens that the model agreed with: each is a decode step less.",
    vllm: "vllm:spec_decode_num_accepted_tokens_total",
  },
  acceptedPerDraft: {
    name: "seap_accepted_tokens_per_draft",
    type: "histogram",
    unit: "tokens",
    help: "Guessed tokens that the model agreed with, by sequence and step in which some were guessed.",
    buckets: draftEdges,
  },
  expertBatch: {
    name: "seap_engine_expert_batch_size",
    type: "histogram",
    unit: "sequences",
    help: "Sequences that ran on an expert in a decode step, of steps with at least one.",
    labels: { expert: "dense, general and the tasks" },
    buckets: batchEdges,
  },
  preemptions: {
    name: "seap_preemptions_total",
    type: "counter",
    unit: "events",
    help: "Times that a sequence lost its keys and values for want of memory, and was prefilled again.",
    vllm: "vllm:num_preemptions_total",
  },
  restarts: {
    name: "seap_engine_restarts_total",
    type: "counter",
    unit: "events",
    help: "Times that the engine was started anew after it had failed.",
  },
  up: {
    name: "seap_engine_up",
    type: "gauge",
    unit: "state",
    help: "Whether the engine takes requests: 0 from a failure until it is there again. Absent while the model loads first.",
  },
  engines: {
    name: "seap_engines",
    type: "gauge",
    unit: "engines",
    help: "Engines that take requests, of as many as --engines says. Absent while the model loads first.",
  },
  kvCacheUsage: {
    name: "seap_kv_cache_usage_ratio",
    type: "gauge",
    unit: "share",
    help: "Used share of the KV memory budget, 0 to 1.",
    vllm: "vllm:kv_cache_usage_perc",
  },
  kvBytes: {
    name: "seap_engine_kv_bytes",
    type: "gauge",
    unit: "bytes",
    help: "Allocated keys and values: at most --kv-memory, or what one whole context needs, and --prefix-cache together.",
  },
  weightBytes: {
    name: "seap_engine_weight_bytes",
    type: "gauge",
    unit: "bytes",
    help: "Weights of the model and of the experts that are loaded.",
  },
  prefixCacheQueries: {
    name: "seap_prefix_cache_queries_total",
    type: "counter",
    unit: "tokens",
    help: "Prompt tokens that could have been in the prefix cache.",
    vllm: "vllm:prefix_cache_queries_total",
  },
  prefixCacheHits: {
    name: "seap_prefix_cache_hits_total",
    type: "counter",
    unit: "tokens",
    help: "Prompt tokens that were in it, and were not computed.",
    vllm: "vllm:prefix_cache_hits_total",
  },
  prefixCacheBytes: {
    name: "seap_prefix_cache_bytes",
    type: "gauge",
    unit: "bytes",
    help: "Memory of the prompt beginnings that are kept.",
  },
  grammarCacheBytes: {
    name: "seap_grammar_cache_bytes",
    type: "gauge",
    unit: "bytes",
    help: "Memory of the grammars of structured output, and of what is known of them.",
  },
} as const satisfies Record<string, MetricDefinition>;
