import { expertStates } from "../../engine/contract/experts.ts";
import type { MetricDefinition } from "./metric.ts";

const labels = { expert: "dense, general and the tasks" };

/** One sample per expert. */
export const perExpertMetrics = {
  residentBytes: {
    name: "seap_expert_resident_bytes",
    type: "gauge",
    unit: "bytes",
    help: "Memory that an expert takes. That of dense is no part of the budget.",
    labels,
  },
  running: {
    name: "seap_expert_running_requests",
    type: "gauge",
    unit: "requests",
    help: "Requests that run on an expert.",
    labels,
  },
  buildSeconds: {
    name: "seap_expert_build_seconds",
    type: "gauge",
    unit: "seconds",
    help: "What the build of an expert took, calibration included.",
    labels,
  },
  loadSeconds: {
    name: "seap_expert_load_seconds",
    type: "gauge",
    unit: "seconds",
    help: "What the last load took.",
    labels,
  },
  stepSeconds: {
    name: "seap_expert_step_seconds",
    type: "gauge",
    unit: "seconds",
    help: "What one sequence's decode step through the expert's layers takes, measured when it was loaded.",
    labels,
  },
  sparsity: {
    name: "seap_expert_sparsity_ratio",
    type: "gauge",
    unit: "share",
    help: "Share of the middle's parameters that is gone.",
    labels,
  },
  lossIncrease: {
    name: "seap_expert_held_out_loss_increase_ratio",
    type: "gauge",
    unit: "share",
    help: "Rise of held-out perplexity over the unpruned model; 0.05 is 5 %.",
    labels,
  },
  hits: {
    name: "seap_expert_hits_total",
    type: "counter",
    unit: "requests",
    help: "Requests that an expert was chosen for.",
    labels,
  },
  misses: {
    name: "seap_expert_misses_total",
    type: "counter",
    unit: "requests",
    help: "Requests of an expert's task that another one answered.",
    labels,
  },
  loads: {
    name: "seap_expert_loads_total",
    type: "counter",
    unit: "events",
    help: "Times that an expert came into memory.",
    labels,
  },
  loadsPutOff: {
    name: "seap_expert_loads_put_off_total",
    type: "counter",
    unit: "events",
    help: "Times that an expert was not loaded, as those in its place are asked for more.",
    labels,
  },
  shadowRequests: {
    name: "seap_expert_shadow_requests_total",
    type: "counter",
    unit: "requests",
    help: "Answers of an expert that were compared with the unpruned model.",
    labels,
  },
  shadowTokens: {
    name: "seap_expert_shadow_tokens_total",
    type: "counter",
    unit: "tokens",
    help: "Tokens of the answers that were compared.",
    labels,
  },
  shadowKl: {
    name: "seap_expert_shadow_kl_nats",
    type: "gauge",
    unit: "nats",
    help: "Mean KL divergence a token from the unpruned model to the expert.",
    labels,
  },
  shadowTopAgreement: {
    name: "seap_expert_shadow_top_agreement_ratio",
    type: "gauge",
    unit: "share",
    help: "Share of tokens whose most likely next token is the unpruned model's.",
    labels,
  },
} as const satisfies Record<string, MetricDefinition>;

/** With other labels than the expert's alone. */
export const expertMetrics = {
  state: {
    name: "seap_expert_state",
    type: "gauge",
    unit: "state",
    help: "1 for the state that an expert is in, 0 for the others.",
    labels: {
      ...labels,
      state: expertStates.join(", "),
    },
  },
  evictions: {
    name: "seap_expert_evictions_total",
    type: "counter",
    unit: "events",
    help: "Times that an expert left memory, and why.",
    labels: {
      ...labels,
      reason:
        "memory (for another one), idle, command, suspended (the shadow check found it worse than allowed), stopping",
    },
  },
  builds: {
    name: "seap_expert_builds_total",
    type: "counter",
    unit: "events",
    help: "Builds of experts by how they ended.",
    labels: {
      outcome: "built, over_budget (no sparsity keeps the quality), failed, cancelled",
    },
  },
  memoryBudget: {
    name: "seap_expert_memory_budget_bytes",
    type: "gauge",
    unit: "bytes",
    help: "Memory that all experts together may take.",
  },
  adapters: {
    name: "vllm:lora_requests_info",
    type: "gauge",
    unit: "time",
    help: "Experts as adapters: those that run requests, and those that are being loaded.",
    labels: {
      max_lora: "the number of experts",
      running_lora_adapters: "names of experts, as clients may ask for them",
      waiting_lora_adapters: "names of experts, as clients may ask for them",
    },
  },
} as const satisfies Record<string, MetricDefinition>;
