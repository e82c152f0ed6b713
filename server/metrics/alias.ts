import type { Counter, Gauge, Histogram, Registry } from "prom-client";

type Source = Counter | Gauge | Histogram;

interface Sample {
  readonly value: number;
  readonly labels: object;
  readonly metricName?: string | undefined;
}

export interface AliasOptions {
  readonly sourceName: string;
  readonly alias: string;
  /** Added to the source's; undefined while they are not known, which is before the model is loaded. */
  readonly labels: () => Readonly<Record<string, string>> | undefined;
}

/**
 * Shows a metric a second time, under the name that dashboards and gateways of others read, with their labels. It is
 * copied when scraped, so recording costs nothing more.
 */
export function registerAlias(registry: Registry, source: Source, options: AliasOptions): void {
  const { sourceName, alias, labels } = options;
  const get = async () => {
    const data = await source.get();
    const added = labels();
    // No series with labels that would change once the model is loaded.
    if (added === undefined) return { ...data, name: alias, values: [] };
    const values = (data.values as readonly Sample[]).map((sample) => ({
      ...sample,
      labels: { ...added, ...sample.labels },
      ...(sample.metricName !== undefined && {
        metricName: sample.metricName.replace(sourceName, alias),
      }),
    }));
    return { ...data, name: alias, values };
  };
  // A registry calls nothing but `name` and `get`; its type asks for a whole metric class.
  registry.registerMetric({ name: alias, get } as unknown as Gauge);
}
