import { Component, createRef } from "/assets/preact.js";
import uPlot from "/assets/uplot.js";
import { html } from "./html.ts";
import type { View } from "./html.ts";

export interface PlotSeries {
  readonly label: string;
  /** Custom property of the page's style. */
  readonly colour: string;
}

export interface PlotProps {
  /** What is to be seen, in words. */
  readonly label: string;
  readonly series: readonly PlotSeries[];
  /** First the x values, then those of each series. */
  readonly data: uPlot.AlignedData;
  readonly isTime: boolean;
  readonly format: (value: number) => string;
}

const height = 170;

/** Lines over time, or bars. */
export class Plot extends Component<PlotProps> {
  readonly #element = createRef<HTMLElement>();
  #plot: uPlot | undefined;
  readonly #resize = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry!.contentRect.width);
    if (width > 0) this.#plot?.setSize({ width, height });
  });

  override render({ label }: PlotProps): View {
    return html`<div ref=${this.#element} class="plot" role="img" aria-label=${label}></div>`;
  }

  override componentDidMount(): void {
    const element = this.#element.current!;
    const { series, data, isTime, format } = this.props;
    // Asked for at each drawing, so that another theme shows.
    const colour = (name: string) => () => getComputedStyle(element).getPropertyValue(name);
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 } };
    const bars = uPlot.paths.bars?.({ size: [0.8, 24] });
    const options: uPlot.Options = {
      width: element.clientWidth || 300,
      height,
      scales: { x: { time: isTime }, y: { range: (_plot, _low, high) => [0, topOf(high)] } },
      axes: [axis, { ...axis, size: 60, values: (_plot, ticks) => ticks.map(format) }],
      cursor: { drag: { x: false, y: false } },
      series: [
        isTime ? {} : { value: (_plot, value) => `${value}` },
        ...series.map((each): uPlot.Series => ({
          label: each.label,
          stroke: colour(each.colour),
          width: 1.5,
          points: { show: false },
          value: (_plot, value: number | null) => (value === null ? "–" : format(value)),
          ...(!isTime && series.length === 1 && bars && { paths: bars, fill: colour(each.colour) }),
        })),
      ],
    };
    this.#plot = new uPlot(options, data, element);
    this.#resize.observe(element);
  }

  override componentDidUpdate({ data }: PlotProps): void {
    if (data !== this.props.data) this.#plot?.setData(this.props.data);
  }

  override componentWillUnmount(): void {
    this.#resize.disconnect();
    this.#plot?.destroy();
  }
}

function topOf(high: number | null): number {
  return high === null || high <= 0 ? 1 : 1.1 * high;
}
