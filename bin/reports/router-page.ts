import type { RouterResult } from "../../router/evaluation.ts";
import type { Confusion } from "../../router/metrics.ts";
import { foreignTable, pairTable, percent, setTable, summaryTable } from "./router-tables.ts";
import type { Table } from "./router-tables.ts";
import { escapeHtml, scatterPlot } from "./scatter-plot.ts";

/** One page with tables and maps that needs nothing else: no script, no font, no network. */
export function formatRouterPage(model: string, results: readonly RouterResult[]): string {
  const title = escapeHtml(`Routing with ${model}`);
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
<p>Prompts that the routers were not fitted with. Accuracy is that of the likeliest task, rejected or not.
Right task: the share of the tasks' prompts that were sent to their task.
Wrong task: the share of all prompts that were sent to a task that is not theirs.
AUROC says how well strangeness tells prompts of none of the tasks from the tasks' own.</p>
${htmlTable(summaryTable(results))}
${results.map((result) => section(result)).join("\n")}
</body>
</html>
`;
}

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

function htmlTable([header, ...rows]: Table): string {
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  const body = rows.map((row) => line(row, "td")).join("\n");
  return `<div class="table"><table>\n${line(header!, "th")}\n${body}\n</table></div>`;
}

/** Of tasks, by hue and by lightness so that neighbours differ; there may be more than twenty. */
const pointColors = Array.from({ length: 24 }, (_, i) => {
  const hue = Math.round((i * 137.5 + 210) % 360);
  return `.p${i} { fill: hsl(${hue} 65% ${[46, 60, 36][i % 3]!}%); }`;
});

const styles = `
:root { --text: #1b1f24; --muted: #6a737d; --line: #d8dee4; --page: #fff; --hit: 0 114 178; --miss: 213 94 0; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --muted: #8b949e; --line: #30363d; --page: #0d1117; --hit: 86 180 233; --miss: 230 130 40; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 1440px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; } h2 { font-size: 18px; margin-top: 40px; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
.figures { display: flex; flex-wrap: wrap; gap: 28px; align-items: flex-start; margin-top: 12px; }
figure { margin: 0; overflow-x: auto; } figcaption { color: var(--muted); font-size: 13px; }
.confusion { font-size: 12px; }
.confusion td { padding: 2px 4px; min-width: 24px; text-align: center; }
.confusion th { padding: 2px 8px; font-weight: 500; }
.turned { height: 112px; vertical-align: bottom; }
.turned span { writing-mode: vertical-rl; transform: rotate(180deg); }
.hit { background: rgb(var(--hit) / calc(var(--share) * 0.55)); }
.miss { background: rgb(var(--miss) / calc(var(--share) * 1.6)); }
svg { font: 11px system-ui, sans-serif; max-width: 100%; height: auto; }
svg text { fill: var(--muted); } svg .title { fill: var(--text); font-size: 13px; font-weight: 600; }
.frame { fill: none; stroke: var(--line); }
circle { fill-opacity: 0.75; } .none { fill: var(--muted); fill-opacity: 0.3; }
${pointColors.join("\n")}
`;
