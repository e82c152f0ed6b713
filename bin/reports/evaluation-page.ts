import type { Estimate } from "../../prune/scoring/intervals.ts";
import { jaccard, keptChannelShares, layerSparsity } from "./plan-comparison.ts";
import { reportNote, reportTables, reportTitle, taskNamesOf } from "./evaluation-tables.ts";
import type { ReportTable } from "./evaluation-tables.ts";
import { meanAccuracy, methodLabel, shownAccuracy } from "../../prune/evaluation/result.ts";
import type {
  EvaluatedPlan,
  EvaluationResult,
  MethodResult,
} from "../../prune/evaluation/result.ts";
import { escapeHtml, heatMap, linePlot } from "./svg-plots.ts";
import type { PlotLine } from "./svg-plots.ts";

/** One page with tables and plots that needs nothing else: no script, no font, no network. */
export function formatPage(result: EvaluationResult): string {
  const [overview, ...details] = reportTables(result).map(
    ({ title, table }) => `<h2>${escapeHtml(title)}</h2>\n${htmlTable(table)}`,
  );
  const sections = [
    overview!,
    figures("Over sparsity", [...accuracyPlots(result), ...perplexityPlots(result)]),
    ...details,
    ...planGroups(result).map(({ label, plans }) => figures(label, planPlots(result, plans))),
  ];
  const title = escapeHtml(reportTitle(result));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${styles}</style>
</head>
<body>
<h1>${title}</h1>
<p>${escapeHtml(reportNote(result))}</p>
${sections.filter((section) => section !== "").join("\n")}
</body>
</html>
`;
}

function accuracyPlots(result: EvaluationResult): string[] {
  const mean = sparsityPlot(result, "Mean accuracy", "accuracy, %", (method) =>
    scaled(meanAccuracy(method), 100),
  );
  const perTask = taskNamesOf(result.methods, "choice").map((name) =>
    sparsityPlot(result, `Accuracy: ${name}`, "accuracy, %", ({ tasks }) => {
      const task = tasks.find((t) => t.kind === "choice" && t.task === name);
      return task?.kind === "choice" ? scaled(shownAccuracy(task), 100) : null;
    }),
  );
  return [mean, ...perTask].filter((svg) => svg !== "");
}

function perplexityPlots(result: EvaluationResult): string[] {
  return taskNamesOf(result.methods, "text").map((name) =>
    sparsityPlot(
      result,
      `Perplexity: ${name}`,
      "perplexity (logarithmic)",
      ({ tasks }) => {
        const task = tasks.find((t) => t.kind === "text" && t.task === name);
        return task?.kind === "text" ? task.perplexity : null;
      },
      true,
    ),
  );
}

/** A value over the true sparsity of the middle: a line per method, dense as baseline. */
function sparsityPlot(
  { methods }: EvaluationResult,
  title: string,
  yLabel: string,
  valueOf: (method: MethodResult) => Estimate | null,
  logarithmic = false,
): string {
  const dense = methods.find(({ sparsityTarget }) => sparsityTarget === null);
  const baseline = dense && valueOf(dense)?.value;
  const lines: PlotLine[] = [];
  for (const [label, members] of groupBy(methods, ({ name }) => name)) {
    const points = members
      .filter((method) => method !== dense)
      .flatMap((method) => {
        const estimate = valueOf(method);
        if (!estimate) return [];
        const { value, low, high } = estimate;
        return [{ x: 100 * method.trueSparsity.middle, y: value, low, high }];
      })
      .sort((a, b) => a.x - b.x);
    if (points.length > 0) lines.push({ label, points });
  }
  if (lines.length === 0) return "";
  return linePlot({
    title,
    xLabel: "sparsity of the middle, % (line across: dense)",
    yLabel,
    lines,
    logarithmic,
    ...(baseline !== undefined && { baseline }),
  });
}

/** The plans of each method and target. */
function planGroups({ plans }: EvaluationResult): { label: string; plans: EvaluatedPlan[] }[] {
  const groups = groupBy(plans, ({ method: name, sparsityTarget }) =>
    methodLabel({ name, sparsityTarget }),
  );
  return Array.from(groups, ([label, members]) => ({ label, plans: members }));
}

function planPlots({ model }: EvaluationResult, plans: readonly EvaluatedPlan[]): string[] {
  const tasks = plans.map(({ plan }) => plan.task);
  const layers = plans[0]!.plan.layers.map((_, index) => String(model.firstLayer + index));
  const sparsity = linePlot({
    title: "Sparsity by layer",
    xLabel: "layer",
    yLabel: "% removed",
    lines: plans.map(({ plan }) => ({
      label: plan.task,
      points: layerSparsity(model, plan).map((share, index) => ({
        x: model.firstLayer + index,
        y: 100 * share,
      })),
    })),
  });
  const kept = heatMap({
    title: "Kept MLP channels by task and layer",
    rowLabels: tasks,
    columnLabels: layers,
    values: plans.map(({ plan }) => keptChannelShares(model, plan)),
  });
  if (plans.length === 1) return [sparsity, kept];
  const overlaps = (["keptChannels", "keptHeads"] as const).map((part) =>
    heatMap({
      title: `Overlap of kept ${part === "keptChannels" ? "channels" : "heads"} (Jaccard)`,
      rowLabels: tasks,
      columnLabels: tasks,
      values: plans.map((a) => plans.map((b) => jaccard(a.plan, b.plan, part))),
    }),
  );
  return [sparsity, kept, ...overlaps];
}

/** In the order in which the keys come. */
function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

function scaled(estimate: Estimate | null, factor: number): Estimate | null {
  if (estimate === null) return null;
  const { value, low, high } = estimate;
  return { value: factor * value, low: factor * low, high: factor * high };
}

function figures(title: string, svgs: readonly string[]): string {
  if (svgs.length === 0) return "";
  const items = svgs.map((svg) => `<figure>${svg}</figure>`);
  return `<h2>${escapeHtml(title)}</h2>\n<div class="figures">\n${items.join("\n")}\n</div>`;
}

function htmlTable([header, ...rows]: ReportTable): string {
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  // Rows of one method belong together: their labels differ in the sparsity only.
  const methodOf = ([label]: readonly string[]): string => label!.split(" ")[0]!;
  const body = rows
    .map((row, index) => {
      const isFirst = index > 0 && methodOf(row) !== methodOf(rows[index - 1]!);
      return line(row, "td").replace("<tr>", isFirst ? '<tr class="first">' : "<tr>");
    })
    .join("\n");
  return `<div class="table"><table>\n${line(header!, "th")}\n${body}\n</table></div>`;
}

/** Colours that people who confuse red and green can tell apart (Okabe and Ito). */
const seriesColors = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#e69f00",
  "#56b4e9",
  "#8c6bb1",
  "#7f7f7f",
];

const styles = `
:root { --text: #1b1f24; --muted: #6a737d; --line: #d8dee4; --page: #fff; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --muted: #8b949e; --line: #30363d; --page: #0d1117; --accent: #56b4e9; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 1440px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; } h2 { font-size: 18px; margin-top: 32px; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 8px; text-align: right; border-bottom: 1px solid var(--line); }
th { vertical-align: bottom; } td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; position: sticky; left: 0;
  background: var(--page); }
.first td { border-top: 2px solid var(--line); }
.figures { display: flex; flex-wrap: wrap; gap: 14px; }
figure { margin: 0; overflow-x: auto; }
svg { font: 11px system-ui, sans-serif; max-width: 100%; height: auto; }
svg text { fill: var(--muted); } svg .title { fill: var(--text); font-size: 13px; font-weight: 600; }
.grid { stroke: var(--line); fill: none; }
.baseline { stroke: var(--text); stroke-dasharray: 5 4; fill: none; }
.series { fill: none; stroke-width: 1.8; } .series circle { stroke: none; }
.dashed { stroke-dasharray: 4 3; }
.cell { fill: var(--accent); stroke: var(--line); }
${seriesColors
  .map((color, i) => `.s${i} { stroke: ${color}; } .s${i} circle { fill: ${color}; }`)
  .join("\n")}
`;
