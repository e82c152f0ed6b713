import { escapeHtml } from "./html.ts";

export interface ScatterPoint {
  readonly x: number;
  readonly y: number;
  /** Number of the colour; null for the page's muted one. */
  readonly series: number | null;
  readonly tooltip: string;
}

export interface ScatterPlot {
  readonly title: string;
  /** Names of the series. */
  readonly labels: readonly string[];
  readonly points: readonly ScatterPoint[];
}

const width = 640;
const height = 460;
const margin = { left: 12, top: 30, right: 12, bottom: 12 } as const;
const legendColumns = 5;
/** Of the points along an axis, on each side: a few far ones would squeeze the others. */
const outlierShare = 0.005;

/** Points as an SVG element that takes its colours from the page: classes `p0`, `p1` and so on, and `none`. */
export function scatterPlot({ title, labels, points }: ScatterPlot): string {
  const [xLow, xHigh] = extent(points.map(({ x }) => x));
  const [yLow, yHigh] = extent(points.map(({ y }) => y));
  const place = (value: number, low: number, high: number, from: number, to: number): string => {
    const share = Math.min(Math.max((value - low) / (high - low), 0), 1);
    return (from + share * (to - from)).toFixed(1);
  };
  const dots = points.map(({ x, y, series, tooltip }) => {
    const cx = place(x, xLow, xHigh, margin.left, width - margin.right);
    const cy = place(y, yLow, yHigh, height - margin.bottom, margin.top);
    const name = series === null ? "none" : `p${series}`;
    return `<circle class="${name}" cx="${cx}" cy="${cy}" r="2.6"><title>${escapeHtml(tooltip)}</title></circle>`;
  });
  const hasOthers = points.some(({ series }) => series === null);
  const entries = labels.map((label, i) => ({ label, name: `p${i}` }));
  if (hasOthers) entries.push({ label: "none of the tasks", name: "none" });
  const legend = entries.map(({ label, name }, i) => {
    const x = margin.left + 6 + (i % legendColumns) * ((width - 24) / legendColumns);
    const y = height + 14 + Math.floor(i / legendColumns) * 18;
    return (
      `<circle class="${name}" cx="${x}" cy="${y - 4}" r="4"/>` +
      `<text x="${x + 9}" y="${y}">${escapeHtml(label)}</text>`
    );
  });
  const fullHeight = height + 8 + Math.ceil(entries.length / legendColumns) * 18;
  return (
    `<svg viewBox="0 0 ${width} ${fullHeight}" width="${width}" height="${fullHeight}" role="img" ` +
    `aria-label="${escapeHtml(title)}"><text class="title" x="${width / 2}" y="16" ` +
    `text-anchor="middle">${escapeHtml(title)}</text><rect class="frame" x="2" y="24" ` +
    `width="${width - 4}" height="${height - 26}"/>${dots.join("")}${legend.join("")}</svg>`
  );
}

function extent(values: readonly number[]): [number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  const skipped = Math.floor(sorted.length * outlierShare);
  const [low, high] = [sorted[skipped] ?? 0, sorted.at(-1 - skipped) ?? 0];
  const pad = high > low ? 0.04 * (high - low) : 1;
  return [low - pad, high + pad];
}
