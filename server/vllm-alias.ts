import type { Counter, Gauge, Histogram, Registry } from "prom-client";

type Source = Counter | Gauge | Histogram;

interface Sample {
  readonly value: number;
  readonly labels: object;
  readonly metricName?: string | undefined;
}

/**
 * Shows a metric a second time under the name that vLLM's dashboards and the Kubernetes inference gateway
 * read, with vLLM's labels. It is copied when scraped, so recording costs nothing more.
 */
export function registerVllmAlias(
  registry: Registry,
  source: Source,
  sourceName: string,
  vllmName: string,
  modelName: () => string | undefined,
): void {
  const get = async () => {
    const data = await source.get();
    const name = modelName();
    // No series under a name that would change once the model is loaded.
    if (name === undefined) return { ...data, name: vllmName, values: [] };
    const labels = { model_name: name, engine: "0" };
    const values = (data.values as readonly Sample[]).map((sample) => ({
      ...sample,
      labels: { ...labels, ...sample.labels },
      ...(sample.metricName !== undefined && {
        metricName: sample.metricName.replace(sourceName, vllmName),
      }),
    }));
    return { ...data, name: vllmName, values };
  };
  // A registry calls nothing but `name` and `get`; its type asks for a whole metric class.
  registry.registerMetric({ name: vllmName, get } as unknown as Gauge);
}
