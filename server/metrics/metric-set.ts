import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { registerAlias } from "./alias.ts";
import type { LabelOf, MetricDefinition } from "./metric.ts";

type Of<Type extends MetricDefinition["type"]> = MetricDefinition & { readonly type: Type };

type Samples = Iterable<readonly [labels: Readonly<Record<string, string>>, value: number]>;

/** Makes metrics of their definitions, each with the names that others have for it. */
export class MetricSet {
  readonly registry: Registry;
  readonly #modelName: () => string | undefined;

  /** @param modelName label of others' names; while it is undefined they have no values */
  constructor(registry: Registry, modelName: () => string | undefined) {
    this.registry = registry;
    this.#modelName = modelName;
  }

  counter<Definition extends Of<"counter">>(definition: Definition): Counter<LabelOf<Definition>> {
    const counter = new Counter<LabelOf<Definition>>(this.#configurationOf(definition));
    this.#alias(counter, definition);
    return counter;
  }

  histogram<Definition extends Of<"histogram">>(
    definition: Definition,
  ): Histogram<LabelOf<Definition>> {
    const buckets = [...(definition.buckets ?? [])];
    const configuration = { ...this.#configurationOf(definition), buckets };
    const histogram = new Histogram<LabelOf<Definition>>(configuration);
    this.#alias(histogram, definition);
    return histogram;
  }

  /** @param read called at each scrape; undefined counts as 0 */
  gauge(definition: Of<"gauge">, read: () => number | undefined): void {
    this.sampled(definition, () => [[{}, read() ?? 0]]);
  }

  /** @param read called at each scrape: all samples that there are then */
  sampled(definition: Of<"gauge" | "counter">, read: () => Samples): void {
    const Kind = definition.type === "gauge" ? Gauge : Counter;
    const metric: Gauge | Counter = new Kind({
      ...this.#configurationOf(definition),
      collect() {
        metric.reset();
        for (const [labels, value] of read()) metric.inc(labels, value);
      },
    });
    this.#alias(metric, definition);
  }

  #configurationOf<Definition extends MetricDefinition>({ name, help, labels = {} }: Definition) {
    const labelNames = Object.keys(labels) as LabelOf<Definition>[];
    return { name, help, labelNames, registers: [this.registry] };
  }

  #alias(source: Counter | Gauge | Histogram, definition: MetricDefinition): void {
    const { name: sourceName, vllm, openTelemetry } = definition;
    const named = (labelsOf: (modelName: string) => Record<string, string>) => () => {
      const modelName = this.#modelName();
      return modelName === undefined ? undefined : labelsOf(modelName);
    };
    if (vllm !== undefined) {
      const labels = named((modelName) => ({ model_name: modelName, engine: "0" }));
      registerAlias(this.registry, source, { sourceName, alias: vllm, labels });
    }
    if (openTelemetry !== undefined) {
      const labels = named((modelName) => ({
        gen_ai_operation_name: "generate_content",
        gen_ai_provider_name: "seap",
        gen_ai_request_model: modelName,
      }));
      registerAlias(this.registry, source, { sourceName, alias: openTelemetry, labels });
    }
  }
}
