import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** What Grafana or Prometheus asks, and where it stands. */
export interface ObservedQuery {
  /** Dashboard or group of rules. */
  readonly place: string;
  /** Panel or rule. */
  readonly title: string;
  readonly legend: string;
  readonly expression: string;
}

export interface PanelJson {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

export interface DashboardJson {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly PanelJson[];
}

const folder = "grafana/dashboards";

/** By the name of their file. */
export function readDashboards(): Map<string, DashboardJson> {
  return new Map(
    readdirSync(folder).map((name) => {
      const text = readFileSync(join(folder, name), "utf8");
      return [name, JSON.parse(text) as DashboardJson];
    }),
  );
}

/** Of all panels. */
export function panelQueries(): ObservedQuery[] {
  return [...readDashboards().values()].flatMap(({ title: place, panels }) =>
    panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr: expression, legendFormat: legend }) => ({
        ...{ place, title, legend, expression },
      })),
    ),
  );
}

/** With values in the place of Grafana's variables. */
export function withVariables(expression: string, rateInterval: string): string {
  return expression.replaceAll("$instance", ".+").replaceAll("$__rate_interval", rateInterval);
}

/** Such that an alert that does not fire is 0 and not nothing. */
export function withAnswers(expression: string): string {
  return expression.replaceAll(/ (==|[<>]) (?!bool)/g, " $1 bool ");
}
