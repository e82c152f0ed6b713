import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { requestMetrics } from "../../server/metrics/request-metrics.ts";

export interface DashboardOptions {
  /** Name of its file, and the end of its address. */
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /** Panels by the title of their row, from left to right and from top to bottom. */
  readonly rows: Readonly<Record<string, readonly Builder<Panel>[]>>;
}

/** One of the server's dashboards: all select by data source and instance, and lead to each other. */
export function dashboard({ name, title, about, rows }: DashboardOptions): Dashboard {
  const builder = new DashboardBuilder(`SEAP ${title}`)
    .uid(`seap-${name}`)
    .description(about)
    .tags(["seap"])
    .refresh("10s")
    .time({ from: "now-30m", to: "now" })
    .timezone("browser")
    .tooltip(DashboardCursorSync.Crosshair)
    .link(
      new DashboardLinkBuilder("SEAP")
        .type(DashboardLinkType.Dashboards)
        .tags(["seap"])
        .asDropdown(false)
        .keepTime(true)
        .includeVars(true),
    )
    .withVariable(
      new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"),
    )
    .withVariable(
      new QueryVariableBuilder("instance")
        .label("Instance")
        .query(`label_values(${requestMetrics.running.name}, instance)`)
        .datasource({ type: "prometheus", uid: "${datasource}" })
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .includeAll(true)
        .allValue(".+")
        .multi(true)
        .current({ selected: true, text: "All", value: "$__all" }),
    );
  for (const [row, panels] of Object.entries(rows)) {
    builder.withRow(new RowBuilder(row));
    for (const panel of panels) builder.withPanel(panel);
  }
  const built = builder.build();
  for (const [index, panel] of (built.panels ?? []).entries()) panel.id = index + 1;
  return built;
}
