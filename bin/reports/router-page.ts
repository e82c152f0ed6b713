import type { RouterResult } from "../../router/evaluation.ts";
import type { Confusion } from "../../router/metrics.ts";
import { foreignTable, pairTable, percent, setTable, summaryTable } from "./router-tables.ts";
import { scatterPlot } from "./scatter-plot.ts";
import { escapeHtml, htmlPage, htmlTable } from "./html.ts";

/** Tables, maps of the prompts, and what is taken for what. */
export function formatRouterPage(model: string, results: readonly RouterResult[]): string {
  return htmlPage({
    title: `Routing with ${model}`,
    note,
    body: [htmlTable(summaryTable(results)), ...results.map((result) => section(result))].join(
      "\n",
    ),
    styles,
  });
}

const note = `Prompts that the routers were not fitted with. Accuracy is that of the likeliest task, rejected or not.
Right task: the share of the tasks' prompts that were sent to their task.
Wrong task: the share of all prompts that were sent to a task that is not theirs.
AUROC says how well strangeness tells prompts of none of the tasks from the tasks' own.`;

function section(result: RouterResult): string {
  const tables = [setTable(result), foreignTable(result), pairTable(result)];
  return `<h2>${escapeHtml(`${result.suite}, ${result.kind}`)}</h2>
<div class="figures">
${mapFigure(result)}
<figure><figcaption>Rows: the prompts' task. Columns: the task they were taken for, %.</figcaption>
${confusionTable(result.confusion)}</figure>
</div>
<div class="figures">
${tables.flatMap((table) => (table === null ? [] : [htmlTable(table)])).join("\n")}
</div>`;
}

function mapFigure({ suite, map, confusion: { labels } }: RouterResult): string {
  if (map === null || map.length === 0) return "";
  const points = map.map(({ x, y, task, source }) => ({
    x,
    y,
    series: task === null ? null : labels.indexOf(task),
    tooltip: task === null || task === source ? source : `${source} (${task})`,
  }));
  // Those of no task below the others.
  const ordered = [...points].sort((a, b) => +(a.series !== null) - +(b.series !== null));
  return `<figure>${scatterPlot({ title: `Hidden states: ${suite}`, labels, points: ordered })}</figure>`;
}

function confusionTable({ labels, counts }: Confusion): string {
  const header = labels.map((label) => `<th class="turned"><span>${escapeHtml(label)}</span></th>`);
  const rows = counts.map((row, i) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    const cells = row.map((count, j) => {
      const share = total === 0 ? 0 : count / total;
      const shown = count === 0 ? "" : (100 * share).toFixed(0);
      const tooltip = `${labels[i]!} taken for ${labels[j]!}: ${count} of ${total}, ${percent(share)}`;
      return (
        `<td class="${i === j ? "hit" : "miss"}" style="--share:${share.toFixed(3)}" ` +
        `title="${escapeHtml(tooltip)}">${shown}</td>`
      );
    });
    return `<tr><th>${escapeHtml(labels[i]!)}</th>${cells.join("")}</tr>`;
  });
  return `<div class="table"><table class="confusion">
<tr><th></th>${header.join("")}</tr>
${rows.join("\n")}
</table></div>`;
}

/** Of tasks, by hue and by lightness so that neighbours differ; there may be more than twenty. */
const pointColors = Array.from({ length: 24 }, (_, i) => {
  const hue = Math.round((i * 137.5 + 210) % 360);
  return `.p${i} { fill: hsl(${hue} 65% ${[46, 60, 36][i % 3]!}%); }`;
});

const styles = `
:root { --hit: 0 114 178; --miss: 213 94 0; }
@media (prefers-color-scheme: dark) { :root { --hit: 86 180 233; --miss: 230 130 40; } }
th, td { padding: 4px 12px; white-space: nowrap; }
.figures { gap: 28px; align-items: flex-start; margin-top: 12px; }
figcaption { color: var(--muted); font-size: 13px; }
.confusion { font-size: 12px; }
.confusion td { padding: 2px 4px; min-width: 24px; text-align: center; }
.confusion th { padding: 2px 8px; font-weight: 500; }
.turned { height: 112px; vertical-align: bottom; }
.turned span { writing-mode: vertical-rl; transform: rotate(180deg); }
.hit { background: rgb(var(--hit) / calc(var(--share) * 0.55)); }
.miss { background: rgb(var(--miss) / calc(var(--share) * 1.6)); }
.frame { fill: none; stroke: var(--line); }
circle { fill-opacity: 0.75; } .none { fill: var(--muted); fill-opacity: 0.3; }
${pointColors.join("\n")}
`;
