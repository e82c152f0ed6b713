import type { Estimate } from "../../prune/scoring/intervals.ts";
import { jaccard, keptChannelShares, layerSparsity } from "./plan-comparison.ts";
import { reportNote, reportTables, reportTitle, taskNamesOf } from "./evaluation-tables.ts";
import { meanAccuracy, methodLabel, shownAccuracy } from "../../prune/evaluation/result.ts";
import type {
  EvaluatedPlan,
  EvaluationResult,
  MethodResult,
} from "../../prune/evaluation/result.ts";
import { escapeHtml, htmlPage, htmlTable, type Table } from "./html.ts";
import { heatMap, linePlot } from "./svg-plots.ts";
import type { PlotLine } from "./svg-plots.ts";

/** Tables, plots over sparsity, and what the plans keep. */
export function formatPage(result: EvaluationResult): string {
  const [overview, ...details] = reportTables(result).map(
    ({ title, table }) => `<h2>${escapeHtml(title)}</h2>\n${methodTable(table)}`,
  );
  const sections = [
    overview!,
    figures("Over sparsity", [...accuracyPlots(result), ...perplexityPlots(result)]),
    ...details,
    ...planGroups(result).map(({ label, plans }) => figures(label, planPlots(result, plans))),
  ];
  return htmlPage({
    title: reportTitle(result),
    note: reportNote(result),
    body: sections.filter((section) => section !== "").join("\n"),
    styles,
  });
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

/** A line above the first row of each method: the labels of its rows differ in the sparsity only. */
function methodTable(table: Table): string {
  const methodOf = (index: number): string => table[index + 1]![0]!.split(" ")[0]!;
  return htmlTable(table, (index) => index > 0 && methodOf(index) !== methodOf(index - 1));
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
:root { --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --accent: #56b4e9; } }
table { font-size: 13px; }
th, td { padding: 3px 8px; }
th { vertical-align: bottom; } td { white-space: nowrap; }
th:first-child, td:first-child { white-space: nowrap; position: sticky; left: 0; background: var(--page); }
.first td { border-top: 2px solid var(--line); }
.figures { gap: 14px; }
.grid { stroke: var(--line); fill: none; }
.baseline { stroke: var(--text); stroke-dasharray: 5 4; fill: none; }
.series { fill: none; stroke-width: 1.8; } .series circle { stroke: none; }
.dashed { stroke-dasharray: 4 3; }
.cell { fill: var(--accent); stroke: var(--line); }
${seriesColors
  .map((color, i) => `.s${i} { stroke: ${color}; } .s${i} circle { fill: ${color}; }`)
  .join("\n")}
`;
