import { Counter, Gauge, type Registry } from "prom-client";
import { denseExpert } from "../../engine/experts.ts";
import type { ExpertSnapshot, ExpertState } from "../../engine/experts.ts";
import type { ServedExperts } from "../model-service.ts";
import { buildOutcomes } from "./observed-builder.ts";

/** In the order of an expert's life. */
const states: readonly ExpertState[] = [
  "absent",
  "planned",
  "building",
  "stored",
  "loading",
  "resident",
  "draining",
  "failed",
  "over-budget",
  "suspended",
  "off",
];

/** What the metrics of experts are read from, when they are scraped. */
export interface ExpertMetricsSource extends ServedExperts {
  readonly snapshots: readonly ExpertSnapshot[];
  /** That adapters are listed by, as `<model>:<task>`. */
  readonly modelName: string;
}

interface ExpertMetric {
  readonly kind: typeof Gauge | typeof Counter;
  readonly name: string;
  readonly help: string;
  /** Null for no sample. */
  readonly read: (expert: ExpertSnapshot) => number | null;
}

/** Each with one sample per expert. */
const expertMetrics: readonly ExpertMetric[] = [
  {
    kind: Gauge,
    name: "seap_expert_resident_bytes",
    help: "Memory that an expert takes.",
    read: ({ residentBytes }) => residentBytes,
  },
  {
    kind: Gauge,
    name: "seap_expert_running_requests",
    help: "Requests that run on an expert.",
    read: ({ running }) => running,
  },
  {
    kind: Gauge,
    name: "seap_expert_build_seconds",
    help: "What the last build took, calibration included.",
    read: ({ built }) => built?.buildSeconds ?? null,
  },
  {
    kind: Gauge,
    name: "seap_expert_load_seconds",
    help: "What the last load took.",
    read: ({ loadSeconds }) => loadSeconds,
  },
  {
    kind: Gauge,
    name: "seap_expert_sparsity_ratio",
    help: "Share of the middle's parameters that is gone.",
    read: ({ built }) => built?.sparsity ?? null,
  },
  {
    kind: Gauge,
    name: "seap_expert_held_out_loss_increase_ratio",
    help: "Rise of held-out perplexity over the unpruned model; 0.05 is 5 %.",
    read: ({ built }) => built?.lossIncrease ?? null,
  },
  {
    kind: Counter,
    name: "seap_expert_hits_total",
    help: "Requests that an expert was chosen for.",
    read: ({ hits }) => hits,
  },
  {
    kind: Counter,
    name: "seap_expert_misses_total",
    help: "Requests of an expert's task that another one answered.",
    read: ({ misses }) => misses,
  },
  {
    kind: Counter,
    name: "seap_expert_evictions_total",
    help: "Times that an expert left memory.",
    read: ({ evictions }) => evictions,
  },
  {
    kind: Counter,
    name: "seap_expert_shadow_requests_total",
    help: "Answers of an expert that were compared with the unpruned model.",
    read: ({ shadow }) => shadow?.requests ?? null,
  },
  {
    kind: Counter,
    name: "seap_expert_shadow_tokens_total",
    help: "Tokens of the answers that were compared.",
    read: ({ shadow }) => shadow?.tokens ?? null,
  },
  {
    kind: Gauge,
    name: "seap_expert_shadow_kl_nats",
    help: "Mean KL divergence a token from the unpruned model to the expert.",
    read: ({ shadow }) => shadow?.kl ?? null,
  },
  {
    kind: Gauge,
    name: "seap_expert_shadow_top_agreement_ratio",
    help: "Share of tokens whose most likely next token is the unpruned model's.",
    read: ({ shadow }) => shadow?.topAgreement ?? null,
  },
];

/**
 * Metrics of experts. All are read when they are scraped, so that they agree with `/v1/experts`.
 * @param read undefined while the model loads, and where there are no experts: nothing is exported then
 */
export function registerExpertMetrics(
  registry: Registry,
  read: () => ExpertMetricsSource | undefined,
): void {
  const registers = [registry];
  for (const { kind, name, help, read: valueOf } of expertMetrics) {
    const metric: Gauge | Counter = new kind({
      name,
      help,
      labelNames: ["expert"],
      registers,
      collect() {
        metric.reset();
        for (const expert of read()?.snapshots ?? []) {
          const value = valueOf(expert);
          if (value !== null) metric.inc({ expert: expert.name }, value);
        }
      },
    });
  }
  const stateGauge: Gauge = new Gauge({
    name: "seap_expert_state",
    help: "1 for the state that an expert is in, 0 for the others.",
    labelNames: ["expert", "state"],
    registers,
    collect() {
      stateGauge.reset();
      for (const { name, state } of read()?.snapshots ?? []) {
        for (const each of states) {
          stateGauge.set({ expert: name, state: each }, each === state ? 1 : 0);
        }
      }
    },
  });
  const budget: Gauge = new Gauge({
    name: "seap_expert_memory_budget_bytes",
    help: "Memory that all experts together may take.",
    registers,
    collect() {
      budget.set(read()?.memoryBytes ?? 0);
    },
  });
  const builds: Counter = new Counter({
    name: "seap_expert_builds_total",
    help: "Builds of experts by how they ended: built, over_budget, failed, cancelled.",
    labelNames: ["outcome"],
    registers,
    collect() {
      builds.reset();
      const builder = read()?.builder;
      if (builder === undefined) return;
      for (const outcome of buildOutcomes) builds.inc({ outcome }, builder.numBuilds(outcome));
    },
  });
  registerAdapters(registry, read);
}

/**
 * Experts as LoRA adapters, by the names that clients may ask for: the Kubernetes inference gateway sends a
 * request to a server that has its adapter. The value is the time of the scrape, in Unix seconds.
 */
function registerAdapters(registry: Registry, read: () => ExpertMetricsSource | undefined): void {
  const gauge: Gauge = new Gauge({
    name: "vllm:lora_requests_info",
    help: "Experts as adapters: those that run requests, and those that are being loaded.",
    labelNames: ["max_lora", "running_lora_adapters", "waiting_lora_adapters"],
    registers: [registry],
    collect() {
      gauge.reset();
      const source = read();
      if (source === undefined) return;
      const experts = source.snapshots.filter(
        ({ name, state }) => name !== denseExpert && state !== "off",
      );
      const namesOf = (isListed: (expert: ExpertSnapshot) => boolean) =>
        experts
          .filter(isListed)
          .map(({ name }) => `${source.modelName}:${name}`)
          .join(",");
      gauge.set(
        {
          max_lora: String(experts.length),
          running_lora_adapters: namesOf(({ running }) => running > 0),
          waiting_lora_adapters: namesOf(({ state }) => state === "loading"),
        },
        Math.floor(Date.now() / 1000),
      );
    },
  });
}
