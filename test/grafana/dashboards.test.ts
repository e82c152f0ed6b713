import { existsSync, readdirSync, readFileSync } from "node:fs";
import test from "ava";
import { Registry } from "prom-client";
import { dashboards, toFile } from "../../grafana/src/dashboards.ts";
import { metricAreas } from "../../server/metrics/catalogue.ts";
import type { MetricDefinition } from "../../server/metrics/metric.ts";
import { registerProcessMetrics } from "../../server/metrics/process-metrics.ts";
import { panelQueries, readDashboards } from "../helpers/observed-queries.ts";

test("grafana/dashboards is what npm run build:dashboards makes of grafana/src", (t) => {
  const names = Object.keys(dashboards).map((name) => `${name}.json`);
  t.deepEqual(readdirSync("grafana/dashboards").sort(), names.sort());
  for (const [name, dashboard] of Object.entries(dashboards)) {
    t.is(readFileSync(`grafana/dashboards/${name}.json`, "utf8"), toFile(dashboard), name);
  }
});

test("dashboards and alerts ask only for metrics and labels that there are", async (t) => {
  const process = new Registry();
  registerProcessMetrics(process);
  const ofProcess = (await process.getMetricsAsJSON()).flatMap(({ name }) => [name, `${name}_sum`]);
  const definitions = new Map<string, MetricDefinition>(
    metricAreas.flatMap(({ metrics }) =>
      metrics.flatMap((definition) =>
        seriesOf(definition).map((series) => [series, definition] as const),
      ),
    ),
  );
  const rules = readFileSync("grafana/rules/seap-alerts.yaml", "utf8");
  const alerts = [...rules.matchAll(/expr: (\|\n(?: {10,}.*\n)+|.*)/g)].map(([, text]) => text!);
  t.true(alerts.length > 10);
  const expressions = [...panelQueries().map(({ expression }) => expression), ...alerts];
  for (const expression of expressions) {
    const selectors = expression.matchAll(/\b(seap_\w+|nodejs_\w+|process_\w+)(?:\{([^}]*)\})?/g);
    for (const [, name = "", matchers = ""] of selectors) {
      const definition = definitions.get(name);
      t.true(definition !== undefined || ofProcess.includes(name), `${name} in ${expression}`);
      const labels = [...matchers.matchAll(/(\w+)\s*(?:=~|!=|=)/g)].map(([, label]) => label!);
      const known = ["instance", "le", ...Object.keys(definition?.labels ?? {})];
      for (const label of labels) t.true(known.includes(label), `${label} of ${name}`);
    }
  }
});

function seriesOf({ name, type }: MetricDefinition): string[] {
  return type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
}

test("panels say what they mean, have a place of their own and the chosen data source", (t) => {
  for (const [file, { panels, uid }] of readDashboards()) {
    t.is(`${uid}.json`, `seap-${file}`);
    t.is(new Set(panels.map(({ id }) => id)).size, panels.length);
    const shown = panels.filter(({ type }) => type !== "row");
    t.is(new Set(shown.map(({ title }) => title)).size, shown.length, file);
    const taken = new Map<string, string>();
    for (const { title, description = "", datasource, targets = [], gridPos } of shown) {
      t.true(description.length > 10, title);
      t.is(datasource?.uid, "${datasource}", title);
      t.true(targets.length > 0, title);
      const { x, y, w, h } = gridPos;
      t.true(x + w <= 24, title);
      for (let column = x; column < x + w; column++) {
        for (let row = y; row < y + h; row++) {
          const cell = `${column},${row}`;
          t.false(taken.has(cell), `${title} lies on ${taken.get(cell)}`);
          taken.set(cell, title);
        }
      }
    }
  }
});

test("each alert is explained in docs/operations.md", (t) => {
  const rules = readFileSync("grafana/rules/seap-alerts.yaml", "utf8");
  const page = "docs/operations.md";
  const text = existsSync(page) ? readFileSync(page, "utf8") : "";
  for (const [, alert = ""] of rules.matchAll(/- alert: (\w+)/g)) {
    t.true(text.includes(`\`${alert}\``), alert);
  }
});
