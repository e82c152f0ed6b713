import { Component, createRef } from "/assets/preact.js";
import { percent } from "./format.ts";
import { html } from "./html.ts";
import type { View } from "./html.ts";
import { Plot } from "./plot.ts";
import type { PlotAxis } from "./plot.ts";
import { watchTheme } from "./theme.ts";
import type { WirePlan } from "./wire.ts";

/** Of the heat map; more would be narrower than a pixel. */
const maxCells = 256;

const layerAxis: PlotAxis = {
  label: "layer",
  format: (value) => `${value}`,
  steps: [1, 2, 5, 10, 20, 50],
};

interface PlanProps {
  readonly plan: WirePlan;
}

/** Which channels and heads of each layer an expert keeps. */
export class PlanFigure extends Component<PlanProps> {
  readonly #channels = createRef<HTMLCanvasElement>();
  readonly #heads = createRef<HTMLCanvasElement>();

  #unwatch = (): void => undefined;

  override shouldComponentUpdate({ plan }: PlanProps): boolean {
    return plan !== this.props.plan;
  }

  override render({ plan }: PlanProps): View {
    const { dense, layers, first_layer: first, sparsity } = plan;
    const gone = (name: "kept_heads" | "kept_channels", all: number) =>
      layers.map((layer) => 1 - layer[name].length / all);
    const channels = gone("kept_channels", dense.channels);
    const heads = gone("kept_heads", dense.heads);
    const last = first + layers.length - 1;
    const perCell = Math.ceil(dense.channels / maxCells);
    const most = Math.max(...channels);
    const said =
      `Of the middle's weights ${percent(sparsity.middle)} are gone, of the whole model's ` +
      `${percent(sparsity.model)}. Layer ${first + channels.indexOf(most)} loses most: ` +
      `${percent(most)} of its channels.`;
    return html`<div>
      <p>${said}</p>
      <figure>
        <div class="heat">
          <span class="edge">layer ${first}</span>
          <canvas
            ref=${this.#channels}
            role="img"
            aria-label="Kept channels of layers ${first} to ${last}"
          ></canvas>
          <canvas
            ref=${this.#heads}
            role="img"
            aria-label="Kept heads of layers ${first} to ${last}"
          ></canvas>
          <span class="edge">layer ${last}</span>
        </div>
        <figcaption>
          Left the ${dense.channels} MLP channels${perCell > 1 && `, ${perCell} to a cell`}, right
          the ${" "}${dense.heads} attention heads: the stronger the colour, the more is kept.
        </figcaption>
      </figure>
      <${Plot}
        label="Share of channels and heads that are gone, by layer"
        series=${[
          { label: "channels gone", colour: "--accent" },
          { label: "heads gone", colour: "--warm" },
        ]}
        data=${[layers.map((_, index) => first + index), channels, heads]}
        x=${layerAxis}
        format=${(value: number) => percent(value)}
      />
    </div>`;
  }

  override componentDidMount(): void {
    this.#channels.current!.scrollIntoView({ block: "nearest" });
    this.#draw();
    this.#unwatch = watchTheme(() => this.#draw());
  }

  override componentWillUnmount(): void {
    this.#unwatch();
  }

  #draw(): void {
    const { dense, layers } = this.props.plan;
    const channels = layers.map((layer) => shares(layer.kept_channels, dense.channels));
    const heads = layers.map((layer) => shares(layer.kept_heads, dense.heads));
    drawShares(this.#channels.current!, channels);
    drawShares(this.#heads.current!, heads);
  }
}

/** Of each cell, the share that is kept. */
function shares(kept: readonly number[], all: number): Float64Array {
  const perCell = Math.ceil(all / maxCells);
  const cells = new Float64Array(Math.ceil(all / perCell));
  for (const index of kept) cells[Math.floor(index / perCell)]! += 1;
  return cells.map((count, cell) => count / Math.min(perCell, all - cell * perCell));
}

/** A pixel for each share, as much of the element's colour. */
function drawShares(canvas: HTMLCanvasElement, rows: readonly Float64Array[]): void {
  canvas.width = rows[0]?.length ?? 0;
  canvas.height = rows.length;
  canvas.style.height = `${Math.min(10 * rows.length, 260)}px`;
  const context = canvas.getContext("2d")!;
  context.fillStyle = getComputedStyle(canvas).color;
  for (const [y, row] of rows.entries()) {
    for (const [x, share] of row.entries()) {
      context.globalAlpha = share;
      context.fillRect(x, y, 1, 1);
    }
  }
}
