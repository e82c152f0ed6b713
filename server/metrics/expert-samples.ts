import { denseExpert, evictionReasons, expertStates } from "../../engine/contract/experts.ts";
import type { ExpertSnapshot } from "../../engine/contract/experts.ts";
import { buildEndings, type BuildEnding } from "./build-endings.ts";
import { expertMetrics, perExpertMetrics } from "./expert-metrics.ts";
import type { MetricSet } from "./metric-set.ts";

/** What the metrics of experts are read from, when they are scraped. */
export interface ExpertMetricsSource {
  /** Budget of all of them together. */
  readonly memoryBytes: number;
  readonly builder: { numBuilds(outcome: BuildEnding): number };
  readonly snapshots: readonly ExpertSnapshot[];
  /** That adapters are listed by, as `<model>:<task>`. */
  readonly modelName: string;
}

/** Null for no sample. */
const valuesOf: Readonly<
  Record<keyof typeof perExpertMetrics, (expert: ExpertSnapshot) => number | null>
> = {
  residentBytes: ({ residentBytes }) => residentBytes,
  running: ({ running }) => running,
  buildSeconds: ({ built }) => built?.buildSeconds ?? null,
  loadSeconds: ({ loadSeconds }) => loadSeconds,
  stepSeconds: ({ stepSeconds }) => stepSeconds,
  sparsity: ({ built }) => built?.sparsity ?? null,
  lossIncrease: ({ built }) => built?.lossIncrease ?? null,
  hits: ({ hits }) => hits,
  misses: ({ misses }) => misses,
  loads: ({ loads }) => loads,
  loadsPutOff: ({ loadsPutOff }) => loadsPutOff,
  shadowRequests: ({ shadow }) => shadow?.requests ?? null,
  shadowTokens: ({ shadow }) => shadow?.tokens ?? null,
  shadowKl: ({ shadow }) => shadow?.kl ?? null,
  shadowTopAgreement: ({ shadow }) => shadow?.topAgreement ?? null,
};

/**
 * Metrics of experts. All are read when they are scraped, so that they agree with `/v1/experts`.
 * @param read undefined while the model loads, and where there are no experts: nothing is exported then
 */
export function registerExpertMetrics(
  metrics: MetricSet,
  read: () => ExpertMetricsSource | undefined,
): void {
  const snapshots = () => read()?.snapshots ?? [];
  for (const [key, definition] of Object.entries(perExpertMetrics)) {
    const valueOf = valuesOf[key as keyof typeof perExpertMetrics];
    metrics.sampled(definition, function* () {
      for (const expert of snapshots()) {
        const value = valueOf(expert);
        if (value !== null) yield [{ expert: expert.name }, value] as const;
      }
    });
  }
  metrics.sampled(expertMetrics.state, function* () {
    for (const { name: expert, state } of snapshots()) {
      for (const each of expertStates) {
        yield [{ expert, state: each }, each === state ? 1 : 0] as const;
      }
    }
  });
  metrics.sampled(expertMetrics.evictions, function* () {
    for (const { name: expert, evictionReasons: counts } of snapshots()) {
      for (const reason of evictionReasons)
        yield [{ expert, reason }, counts[reason] ?? 0] as const;
    }
  });
  metrics.gauge(expertMetrics.memoryBudget, () => read()?.memoryBytes);
  metrics.sampled(expertMetrics.builds, function* () {
    const builder = read()?.builder;
    if (builder === undefined) return;
    for (const outcome of buildEndings) yield [{ outcome }, builder.numBuilds(outcome)] as const;
  });
  metrics.sampled(expertMetrics.adapters, function* () {
    const source = read();
    if (source !== undefined) yield [adapters(source), Math.floor(Date.now() / 1000)] as const;
  });
}

/**
 * Experts as LoRA adapters, by the names that clients may ask for: the Kubernetes inference gateway sends a
 * request to a server that has its adapter. The value is the time of the scrape, in Unix seconds.
 */
function adapters({ snapshots, modelName }: ExpertMetricsSource) {
  const experts = snapshots.filter(({ name, state }) => name !== denseExpert && state !== "off");
  const namesOf = (isListed: (expert: ExpertSnapshot) => boolean) =>
    experts
      .filter(isListed)
      .map(({ name }) => `${modelName}:${name}`)
      .join(",");
  return {
    max_lora: String(experts.length),
    running_lora_adapters: namesOf(({ running }) => running > 0),
    waiting_lora_adapters: namesOf(({ state }) => state === "loading"),
  };
}
