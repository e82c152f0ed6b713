/** What a metric's values count or measure. */
export type MetricUnit =
  | "seconds"
  | "bytes"
  | "tokens"
  | "requests"
  | "messages"
  | "connections"
  | "sequences"
  | "engines"
  | "events"
  | "share"
  | "nats"
  | "state"
  | "time";

/** All that is to be said of a metric: it is made from this, and so is its line in the documentation. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly unit: MetricUnit;
  readonly help: string;
  /** Where the values of each label come from; always a closed set. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Upper edges, ascending; of histograms. */
  readonly buckets?: readonly number[];
  /** Name that vLLM has for it, if it has one. */
  readonly vllm?: string;
  /** Name in OpenTelemetry's semantic conventions, as Prometheus spells it. */
  readonly openTelemetry?: string;
}

export type LabelOf<Definition extends MetricDefinition> = Definition extends {
  readonly labels: infer Labels;
}
  ? keyof Labels & string
  : never;
