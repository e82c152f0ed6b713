import type { MetricDefinition } from "../../server/metrics/metric.ts";

/** What all dashboards select by. */
const instance = 'instance=~"$instance"';

export interface QueryOptions {
  /** Labels to keep, separated by commas. @default none */
  readonly by?: string;
  /** Further matchers, as in `task="code"`. */
  readonly where?: string;
}

type Of<Type extends MetricDefinition["type"]> = MetricDefinition & { readonly type: Type };

export function selector(name: string, where?: string): string {
  return `${name}{${[instance, ...(where === undefined ? [] : [where])].join(", ")}}`;
}

export function rate(counter: Of<"counter">, options: QueryOptions = {}): string {
  return rateOf(counter.name, options);
}

/** Sum over the instances. */
export function total(gauge: MetricDefinition, { by, where }: QueryOptions = {}): string {
  return `sum${grouping(by)} (${selector(gauge.name, where)})`;
}

/** The largest of the instances'. */
export function largest(gauge: MetricDefinition, { by, where }: QueryOptions = {}): string {
  return `max${grouping(by)} (${selector(gauge.name, where)})`;
}

export function quantile(
  share: number,
  histogram: Of<"histogram">,
  { by, where }: QueryOptions = {},
): string {
  const labels = by === undefined ? "le" : `le, ${by}`;
  return `histogram_quantile(${share}, ${rateOf(`${histogram.name}_bucket`, { by: labels, ...(where !== undefined && { where }) })})`;
}

/** Mean of what was observed. */
export function mean(histogram: Of<"histogram">, options: QueryOptions = {}): string {
  const { name } = histogram;
  return `${rateOf(`${name}_sum`, options)} / ${rateOf(`${name}_count`, options)}`;
}

/** What was observed in a second, added up. */
export function sumRate(histogram: Of<"histogram">, options: QueryOptions = {}): string {
  return rateOf(`${histogram.name}_sum`, options);
}

export function countRate(histogram: Of<"histogram">, options: QueryOptions = {}): string {
  return rateOf(`${histogram.name}_count`, options);
}

/** By bucket, for heat maps. */
export function bucketRate(histogram: Of<"histogram">): string {
  return rateOf(`${histogram.name}_bucket`, { by: "le" });
}

/** The counter's part that matches, of all of it; 0 while there is none. */
export function share(counter: Of<"counter">, where: string): string {
  return `(${rate(counter, { where })} or vector(0)) / ${rate(counter)}`;
}

function rateOf(name: string, { by, where }: QueryOptions): string {
  return `sum${grouping(by)} (rate(${selector(name, where)}[$__rate_interval]))`;
}

function grouping(by: string | undefined): string {
  return by === undefined ? "" : ` by (${by})`;
}
