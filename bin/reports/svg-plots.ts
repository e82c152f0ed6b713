import { escapeHtml } from "./html.ts";

/** A point with its confidence interval. */
export interface PlotPoint {
  readonly x: number;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
}

export interface PlotLine {
  readonly label: string;
  /** Ascending in x. */
  readonly points: readonly PlotPoint[];
}

export interface LinePlot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly PlotLine[];
  /** Equal ratios get equal lengths; all values are above 0. @default false */
  readonly logarithmic?: boolean;
  /** A value that every line is compared with. */
  readonly baseline?: number;
}

export interface HeatMap {
  readonly title: string;
  readonly rowLabels: readonly string[];
  readonly columnLabels: readonly string[];
  /** By row and column, 0 to 1. */
  readonly values: readonly (readonly number[])[];
}

/** Three fit beside each other on a page. */
const width = 436;
const height = 300;
const plot = { left: 56, top: 30, right: width - 12, bottom: height - 44 } as const;
const numColors = 8;
const whiskerGap = 3;

/** Lines with whiskers, as an SVG element that takes its colours from the page (`--series-0` and so on). */
export function linePlot(options: LinePlot): string {
  const { title, xLabel, yLabel, lines, logarithmic = false, baseline } = options;
  const points = lines.flatMap((line) => line.points);
  const ys = points.flatMap(({ y, low = y, high = y }) => [low, y, high]);
  const toY = logarithmic ? Math.log : (value: number) => value;
  const [xMin, xMax] = extent(points.map(({ x }) => x));
  const [yMin, yMax] = extent((baseline === undefined ? ys : [...ys, baseline]).map(toY));
  const px = (x: number): number => scale(x, xMin, xMax, plot.left, plot.right);
  const py = (y: number): number => scale(toY(y), yMin, yMax, plot.bottom, plot.top);
  const parts = [heading(title, width)];
  for (const value of ticks(xMin, xMax)) {
    const x = round(px(value));
    parts.push(`<path class="grid" d="M${x} ${plot.top}V${plot.bottom}"/>`);
    parts.push(text(x, plot.bottom + 16, formatTick(value), "middle"));
  }
  const yTicks = logarithmic ? ratioTicks(Math.exp(yMin), Math.exp(yMax)) : ticks(yMin, yMax);
  for (const value of yTicks) {
    const y = round(py(value));
    parts.push(`<path class="grid" d="M${plot.left} ${y}H${plot.right}"/>`);
    parts.push(text(plot.left - 6, y + 4, formatTick(value), "end"));
  }
  parts.push(text((plot.left + plot.right) / 2, height - 8, xLabel, "middle"));
  parts.push(
    `<text transform="translate(13 ${(plot.top + plot.bottom) / 2}) rotate(-90)" ` +
      `text-anchor="middle">${escapeHtml(yLabel)}</text>`,
  );
  if (baseline !== undefined) {
    const y = round(py(baseline));
    parts.push(`<path class="baseline" d="M${plot.left} ${y}H${plot.right}"/>`);
  }
  const hasIntervals = points.some(({ low }) => low !== undefined);
  for (const [index, line] of lines.entries()) {
    // Beside each other, as intervals at the same place would hide each other.
    const shift = hasIntervals ? (index - (lines.length - 1) / 2) * whiskerGap : 0;
    parts.push(drawLine(line, index, (x) => px(x) + shift, py));
  }
  const legendTop = height + 6;
  const rows = Math.ceil(lines.length / 3);
  for (const [index, { label }] of lines.entries()) {
    const x = plot.left + (index % 3) * 126;
    const y = legendTop + Math.floor(index / 3) * 18;
    parts.push(`<path class="${seriesClass(index)}" d="M${x} ${y}h16"/>`);
    parts.push(text(x + 21, y + 4, label, "start"));
  }
  return svg(title, width, height + rows * 18, parts);
}

function drawLine(
  { label, points }: PlotLine,
  index: number,
  px: (x: number) => number,
  py: (y: number) => number,
): string {
  const places = points.map(({ x, y }) => `${round(px(x))} ${round(py(y))}`);
  const dots = points.map(({ x, y, low, high }, i) => {
    const whisker =
      low === undefined || high === undefined
        ? ""
        : `<path d="M${round(px(x))} ${round(py(low))}V${round(py(high))}"/>`;
    const [cx, cy] = places[i]!.split(" ");
    return (
      `${whisker}<circle cx="${cx}" cy="${cy}" r="3">` +
      `<title>${escapeHtml(`${label}: ${formatTick(x)}, ${y.toPrecision(4)}`)}</title></circle>`
    );
  });
  const path = places.length > 1 ? `<path d="M${places.join("L")}"/>` : "";
  return `<g class="${seriesClass(index)}">${path}${dots.join("")}</g>`;
}

/** Where colours are used again, lines are dashed. */
function seriesClass(index: number): string {
  return `series s${index % numColors}${index < numColors ? "" : " dashed"}`;
}

const cell = { width: 24, height: 20 } as const;

/** Cells from nearly transparent (the least) to the page's accent colour (the most), values as tooltips. */
export function heatMap({ title, rowLabels, columnLabels, values }: HeatMap): string {
  const left = 8 + 7 * Math.max(...rowLabels.map(({ length }) => length));
  const longest = Math.max(...columnLabels.map(({ length }) => length));
  const top = 34 + (longest > 3 ? 6 * longest : 12);
  const bottom = top + rowLabels.length * cell.height;
  const parts = [heading(title, left + columnLabels.length * cell.width)];
  const all = values.flat();
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const opacity = (value: number): number =>
    least === most ? value : 0.05 + (0.95 * (value - least)) / (most - least);
  for (const [column, label] of columnLabels.entries()) {
    const x = left + (column + 0.5) * cell.width;
    parts.push(
      longest > 3
        ? `<text transform="translate(${x + 4} ${top - 6}) rotate(-60)">${escapeHtml(label)}</text>`
        : text(x, top - 6, label, "middle"),
    );
  }
  for (const [row, label] of rowLabels.entries()) {
    const y = top + row * cell.height;
    parts.push(text(left - 6, y + 14, label, "end"));
    for (const [column, value] of values[row]!.entries()) {
      const tooltip = `${label}, ${columnLabels[column]!}: ${value.toFixed(3)}`;
      parts.push(
        `<rect class="cell" x="${left + column * cell.width}" y="${y}" ` +
          `width="${cell.width - 1}" height="${cell.height - 1}" ` +
          `fill-opacity="${opacity(value).toFixed(3)}"><title>${escapeHtml(tooltip)}</title></rect>`,
      );
    }
  }
  const range = `lightest ${least.toFixed(2)}, darkest ${most.toFixed(2)}`;
  parts.push(text(left, bottom + 14, range, "start"));
  const titleWidth = 8 * title.length;
  return svg(
    title,
    Math.max(titleWidth, left + columnLabels.length * cell.width + (longest > 3 ? 6 * longest : 0)),
    bottom + 22,
    parts,
  );
}

function svg(title: string, fullWidth: number, fullHeight: number, parts: readonly string[]) {
  return (
    `<svg viewBox="0 0 ${fullWidth} ${fullHeight}" width="${fullWidth}" height="${fullHeight}" ` +
    `role="img" aria-label="${escapeHtml(title)}">${parts.join("")}</svg>`
  );
}

function heading(title: string, fullWidth: number): string {
  return `<text class="title" x="${round(Math.max(fullWidth, 8 * title.length) / 2)}" y="16" text-anchor="middle">${escapeHtml(title)}</text>`;
}

function text(x: number, y: number, content: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escapeHtml(content)}</text>`;
}

/** Smallest and largest value with a margin. */
function extent(values: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = high > low ? 0.06 * (high - low) : Math.max(0.1 * Math.abs(high), 0.1);
  return [low - margin, high + margin];
}

function scale(value: number, low: number, high: number, from: number, to: number): number {
  return from + ((value - low) / (high - low)) * (to - from);
}

/** About five round values between two others. */
function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step);
  const last = Math.floor(high / step);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/**
 * 1, 2 and 5 times powers of ten between two others, or the powers alone where these are many. Between close values
 * evenly spaced ones.
 */
function ratioTicks(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low));
  const powers = Array.from(
    { length: Math.floor(Math.log10(high)) - first + 1 },
    (_, i) => 10 ** (first + i),
  );
  const factors = powers.length > 4 ? [1] : [1, 2, 5];
  const found = powers
    .flatMap((power) => factors.map((factor) => factor * power))
    .filter((value) => value >= low && value <= high);
  return found.length < 3 ? ticks(low, high) : found;
}

function formatTick(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
