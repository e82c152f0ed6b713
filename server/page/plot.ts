import { Component, createRef } from "/assets/preact.js";
import uPlot from "/assets/uplot.js";
import { html } from "./html.ts";
import type { View } from "./html.ts";
import { watchTheme } from "./theme.ts";

export interface PlotSeries {
  readonly label: string;
  /** Custom property of the page's style. */
  readonly colour: string;
}

export interface PlotAxis {
  readonly label: string;
  readonly format: (value: number) => string;
  /** Between two ticks. @default any */
  readonly steps?: readonly number[];
}

export interface PlotProps {
  /** What is to be seen, in words. */
  readonly label: string;
  readonly series: readonly PlotSeries[];
  /** First the x values, then those of each series. */
  readonly data: uPlot.AlignedData;
  readonly x: PlotAxis;
  readonly format: (value: number) => string;
}

const height = 170;

/** Lines. */
export class Plot extends Component<PlotProps> {
  readonly #element = createRef<HTMLElement>();
  readonly #resize = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry!.contentRect.width);
    if (width > 0) this.#plot?.setSize({ width, height });
  });
  #plot: uPlot | undefined;
  #unwatch = (): void => undefined;

  override render({ label }: PlotProps): View {
    return html`<div ref=${this.#element} class="plot" role="img" aria-label=${label}></div>`;
  }

  override componentDidMount(): void {
    const element = this.#element.current!;
    const plot = new uPlot(this.#options(element), this.props.data, element);
    this.#plot = plot;
    this.#resize.observe(element);
    this.#unwatch = watchTheme(() => plot.redraw());
  }

  override componentDidUpdate({ data }: PlotProps): void {
    if (data !== this.props.data) this.#plot?.setData(this.props.data);
  }

  override componentWillUnmount(): void {
    this.#unwatch();
    this.#resize.disconnect();
    this.#plot?.destroy();
  }

  #options(element: HTMLElement): uPlot.Options {
    const { series, x, format } = this.props;
    // Asked for at each drawing, so that another theme shows.
    const colour = (name: string) => () => getComputedStyle(element).getPropertyValue(name);
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 } };
    const xAxis: uPlot.Axis = {
      ...axis,
      space: 80,
      values: (_plot, ticks) => ticks.map(x.format),
      ...(x.steps && { incrs: [...x.steps] }),
    };
    return {
      width: element.clientWidth || 300,
      height,
      scales: { x: { time: false }, y: { range: (_plot, _low, high) => [0, topOf(high)] } },
      axes: [xAxis, { ...axis, size: 60, values: (_plot, ticks) => ticks.map(format) }],
      cursor: { drag: { x: false, y: false } },
      series: [
        { label: x.label, value: (_plot, value: number | null) => told(value, x.format) },
        ...series.map((each): uPlot.Series => ({
          label: each.label,
          stroke: colour(each.colour),
          width: 1.5,
          value: (_plot, value: number | null) => told(value, format),
        })),
      ],
    };
  }
}

function told(value: number | null, format: (value: number) => string): string {
  return value === null ? "–" : format(value);
}

function topOf(high: number | null): number {
  return high === null || high <= 0 ? 1 : 1.1 * high;
}
