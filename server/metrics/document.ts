import { Registry } from "prom-client";
import { metricAreas } from "./catalogue.ts";
import type { MetricDefinition } from "./metric.ts";
import { registerProcessMetrics } from "./process-metrics.ts";

const head = `# Metrics

\`GET /metrics\` in the text format of Prometheus. This page is made from the definitions in \`server/metrics/\` by
\`npm run docs:metrics\`.

Labels come from closed sets: never a prompt, key or user. Times are in seconds and shares go from 0 to 1. Experts'
metrics have values once the model is loaded, and where there are experts; those of other projects' names once it is
loaded.

**Names of others.** Beside its own name a metric has those under which existing dashboards and gateways look for it:
vLLM's, with its labels \`model_name\` and \`engine\`, and those of OpenTelemetry's conventions for generative AI, with
\`gen_ai_operation_name\`, \`gen_ai_provider_name\` and \`gen_ai_request_model\`. The numbers are the same. Histograms have
vLLM's bucket edges and finer ones below 0.3 s.`;

/** The page on all metrics, as Markdown that is not formatted yet. */
export async function metricsDocument(): Promise<string> {
  const areas = metricAreas.map(({ title, metrics }) => section(title, metrics));
  return [head, ...areas, await processSection()].join("\n\n");
}

function section(title: string, metrics: readonly MetricDefinition[]): string {
  const rows = metrics.map(({ name, type, unit, help, vllm, openTelemetry }) => [
    code(name),
    type,
    unit,
    help,
    [vllm, openTelemetry].flatMap((alias) => (alias === undefined ? [] : [code(alias)])).join(" "),
  ]);
  const parts = [
    `## ${title}`,
    table(["Name", "Type", "Unit", "What it says", "Also as"], rows),
    ...labelsOf(metrics),
    ...bucketsOf(metrics),
  ];
  return parts.join("\n\n");
}

function labelsOf(metrics: readonly MetricDefinition[]): string[] {
  const uses = new Map<string, string[]>();
  for (const { name, labels = {} } of metrics) {
    for (const [label, values] of Object.entries(labels)) {
      const what = `${code(label)}: ${values}`;
      uses.set(what, [...(uses.get(what) ?? []), code(name)]);
    }
  }
  const lines = [...uses].map(([what, names]) => {
    return `- ${what} – of ${names.length > 4 ? `${names.length} metrics` : names.join(", ")}`;
  });
  return lines.length === 0 ? [] : ["Labels:", lines.join("\n")];
}

function bucketsOf(metrics: readonly MetricDefinition[]): string[] {
  const names = new Map<string, string[]>();
  for (const { name, buckets } of metrics) {
    if (buckets === undefined) continue;
    const edges = buckets.join(", ");
    names.set(edges, [...(names.get(edges) ?? []), code(name)]);
  }
  const lines = [...names].map(([edges, of]) => `- ${of.join(", ")}: ${edges}`);
  return lines.length === 0 ? [] : ["Bucket edges:", lines.join("\n")];
}

async function processSection(): Promise<string> {
  const registry = new Registry();
  registerProcessMetrics(registry);
  const metrics = await registry.getMetricsAsJSON();
  const rows = metrics.map(({ name, type, help }) => [code(name), String(type), help]);
  return [
    "## Process",
    "By prom-client. The event loop and heap are those of the thread that serves HTTP; the engine has a thread of its own, whose time is in `seap_engine_step_seconds`.",
    table(["Name", "Type", "What it says"], rows),
  ].join("\n\n");
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...rows.map(line)].join("\n");
}

function code(text: string): string {
  return `\`${text}\``;
}
