import * as bargauge from "@grafana/grafana-foundation-sdk/bargauge";
import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import * as common from "@grafana/grafana-foundation-sdk/common";
import { MappingType, type Panel } from "@grafana/grafana-foundation-sdk/dashboard";
import * as heatmap from "@grafana/grafana-foundation-sdk/heatmap";
import * as prometheus from "@grafana/grafana-foundation-sdk/prometheus";
import * as stat from "@grafana/grafana-foundation-sdk/stat";
import * as statetimeline from "@grafana/grafana-foundation-sdk/statetimeline";
import * as timeseries from "@grafana/grafana-foundation-sdk/timeseries";

/** Grafana's names. */
export type Unit = "s" | "bytes" | "percentunit" | "reqps" | "ops" | "short" | "none" | "tokens/s";

export interface PanelOptions {
  readonly title: string;
  /** What it means and what is good, for the operator. */
  readonly about: string;
  readonly unit: Unit;
  /** Expressions by legend; `{{label}}` stands for a label's value. */
  readonly queries: Readonly<Record<string, string>>;
}

/** A grid has 24 columns. */
const [seriesWidth, seriesHeight] = [8, 8];
const [statWidth, statHeight] = [4, 4];

const dataSource = { type: "prometheus", uid: "${datasource}" };

function targets(
  queries: PanelOptions["queries"],
  change: (query: prometheus.DataqueryBuilder) => prometheus.DataqueryBuilder = (query) => query,
) {
  return Object.entries(queries).map(([legend, expr], index) =>
    change(
      new prometheus.DataqueryBuilder()
        .refId(String.fromCharCode("A".charCodeAt(0) + index))
        .expr(expr)
        .legendFormat(legend)
        .datasource(dataSource)
        .editorMode(prometheus.QueryEditorMode.Code)
        .range(),
    ),
  );
}

export interface SeriesOptions extends PanelOptions {
  readonly stacked?: boolean;
  /** Upper end of the axis. */
  readonly max?: number;
}

/** Lines over time. */
export function series(options: SeriesOptions): Builder<Panel> {
  const { title, about, unit, queries, stacked = false, max } = options;
  const panel = new timeseries.PanelBuilder()
    .title(title)
    .description(about)
    .datasource(dataSource)
    .unit(unit === "tokens/s" ? "short" : unit)
    .min(0)
    .span(seriesWidth)
    .height(seriesHeight)
    .lineWidth(1)
    .fillOpacity(stacked ? 40 : 8)
    .showPoints(common.VisibilityMode.Auto)
    .targets(targets(queries))
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.Table)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(["lastNotNull", "max"]),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder()
        .mode(common.TooltipDisplayMode.Multi)
        .sort(common.SortOrder.Descending),
    );
  if (unit === "tokens/s") panel.axisLabel(unit);
  if (max !== undefined) panel.max(max);
  if (stacked) {
    panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group("A"));
  }
  return panel;
}

/** One number, with its last hours behind it. */
export function number({ title, about, unit, queries }: PanelOptions): Builder<Panel> {
  return new stat.PanelBuilder()
    .title(title)
    .description(about)
    .datasource(dataSource)
    .unit(unit === "tokens/s" ? "short" : unit)
    .span(statWidth)
    .height(statHeight)
    .graphMode(common.BigValueGraphMode.Area)
    .colorMode(common.BigValueColorMode.None)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(["lastNotNull"]))
    .targets(targets(queries));
}

/** A bar for each series, of its last value. */
export function bars({ title, about, unit, queries }: PanelOptions): Builder<Panel> {
  return new bargauge.PanelBuilder()
    .title(title)
    .description(about)
    .datasource(dataSource)
    .unit(unit)
    .min(0)
    .span(seriesWidth)
    .height(seriesHeight)
    .displayMode(common.BarGaugeDisplayMode.Basic)
    .orientation(common.VizOrientation.Horizontal)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(["lastNotNull"]))
    .targets(targets(queries));
}

/** How a histogram's values lie, over time. */
export function distribution({ title, about, unit, queries }: PanelOptions): Builder<Panel> {
  return new heatmap.PanelBuilder()
    .title(title)
    .description(about)
    .datasource(dataSource)
    .span(seriesWidth)
    .height(seriesHeight)
    .calculate(false)
    .yAxis(new heatmap.YAxisConfigBuilder().unit(unit))
    .targets(targets(queries, (query) => query.format(prometheus.PromQueryFormat.Heatmap)));
}

export interface StateOptions extends Omit<PanelOptions, "unit"> {
  /** Text and colour by number. */
  readonly states: readonly (readonly [text: string, colour: string])[];
}

/** What each series is in, over time; its values are the numbers of states. */
export function stateTimeline({ title, about, queries, states }: StateOptions): Builder<Panel> {
  const options = states.map(([text, color], index) => [index, { text, color, index }] as const);
  return new statetimeline.PanelBuilder()
    .title(title)
    .description(about)
    .datasource(dataSource)
    .span(24)
    .height(seriesHeight)
    .mergeValues(true)
    .showValue(common.VisibilityMode.Auto)
    .mappings([{ type: MappingType.ValueToText, options: Object.fromEntries(options) }])
    .targets(targets(queries));
}
