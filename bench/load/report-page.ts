import { escapeHtml, htmlPage, htmlTable } from "../../bin/reports/html.ts";
import { linePlot } from "../../bin/reports/svg-plots.ts";
import { curveShares } from "./curve.ts";
import type { LatencyCurves } from "./curve.ts";
import { reportNote, reportTables } from "./report-table.ts";
import type { LoadReport, WorkloadResult } from "./report.ts";

/** The tables, and how latencies are spread: one file that needs nothing else. */
export function formatLoadPage(report: LoadReport): string {
  const tables = reportTables(report).map(
    ({ title, table }) => `<h2>${escapeHtml(title)}</h2>\n${htmlTable(table)}`,
  );
  return htmlPage({
    title: `Load: ${report.model}`,
    note: reportNote(report),
    body: [...tables, ...workloadFigures(report.workloads)].join("\n"),
    styles,
  });
}

const latencies: readonly { readonly key: keyof LatencyCurves; readonly title: string }[] = [
  { key: "firstTokenMs", title: "First token" },
  { key: "betweenTokensMs", title: "Between tokens" },
  { key: "endToEndMs", title: "End to end" },
];

/** The plots of each workload and loop beside each other, a line for each server. */
function workloadFigures(results: readonly WorkloadResult[]): string[] {
  const headingOf = ({ title, loop }: WorkloadResult) => `${title}, ${loop} loop`;
  return [...new Set(results.map(headingOf))].map((heading) => {
    const members = results.filter((result) => headingOf(result) === heading);
    const plots = latencies.flatMap(({ key, title }) => latencyPlot(title, key, members));
    return `<h2>${escapeHtml(heading)}</h2>\n<div class="figures">\n${plots.join("\n")}\n</div>`;
  });
}

function latencyPlot(
  title: string,
  key: keyof LatencyCurves,
  members: readonly WorkloadResult[],
): string[] {
  const lines = members.flatMap(({ side, setting, curves }) => {
    const points = curves[key].map((ms, i) => ({ x: 100 * curveShares[i]!, y: ms }));
    // The least that a logarithmic axis is to show.
    const shown = points.filter(({ y }) => y >= 0.1);
    return shown.length === 0 ? [] : [{ label: `${side} ${setting}`, points: shown }];
  });
  if (lines.length === 0) return [];
  const plot = linePlot({
    title,
    xLabel: "% of all are faster than this",
    yLabel: "ms (logarithmic)",
    lines,
    logarithmic: true,
  });
  return [`<figure>${plot}</figure>`];
}

const styles = `
th, td { padding: 3px 8px; font-size: 13px; }
.figures { gap: 14px; }
.grid { stroke: var(--line); fill: none; }
.series { fill: none; stroke-width: 1.8; } .series circle { stroke: none; }
.s0 { stroke: #0072b2; } .s0 circle { fill: #0072b2; }
.s1 { stroke: #d55e00; } .s1 circle { fill: #d55e00; }
`;
