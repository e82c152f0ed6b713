import type { Api } from "./api.ts";
import { colourOf, percent, shorten } from "./format.ts";
import { html } from "./html.ts";
import type { View } from "./html.ts";
import type { WirePosition, WireRouteReading, WireRouterMap } from "./wire.ts";

interface SentPrompt {
  /** From 1. */
  readonly number: number;
  readonly text: string;
  readonly task: string;
  readonly confidence: number;
  readonly position: WirePosition;
}

interface Label {
  readonly task: string;
  readonly position: WirePosition;
}

const width = 480;
const height = 400;
/** Prompts of a task differ by about 1 in one direction. */
const clusterRadius = 0.8;
const labelHeight = 15;
/** Of a letter. */
const labelWidth = 8;
/** Prompts that are told in words. */
const maxListed = 5;

/** Where prompts lie among the router's clusters. */
export class PromptMap {
  readonly #api: Api;
  #map: WireRouterMap | null = null;
  #prompts: readonly SentPrompt[] = [];

  constructor(api: Api) {
    this.#api = api;
  }

  /** The map comes when the router is there, and stays. */
  async refresh(): Promise<void> {
    if (this.#map !== null && this.#map.clusters.length > 0) return;
    this.#map = await this.#api.get<WireRouterMap>("/v1/router/map");
  }

  /** Asks the router, whatever the conversation has decided. */
  async add(messages: readonly object[], text: string): Promise<void> {
    const { router } = await this.#api.post<WireRouteReading>("/v1/route", { messages });
    if (router === null || router.position === null) return;
    const { task, confidence, position } = router;
    const number = (this.#prompts.at(-1)?.number ?? 0) + 1;
    this.#prompts = [...this.#prompts, { number, text, task, confidence, position }];
  }

  view(): View {
    if (this.#map === null) return null;
    const { clusters, share } = this.#map;
    return html`<section class="card map" aria-labelledby="map-title">
      <h2 id="map-title">Hidden states</h2>
      ${
        clusters.length === 0
          ? html`<p class="hint">There is no map: no router chooses yet, or it has none.</p>`
          : [
              this.#drawing(this.#map),
              html`<p class="hint">
                Clusters of the router, and the prompts sent from here, as the model's first layers
                see them. Grey is none of the tasks.
                ${share !== null && ` The two directions show ${percent(share)} of what the tasks lie apart.`}
              </p>`,
              this.#list(),
            ]
      }
    </section>`;
  }

  #drawing({ clusters, tasks }: WireRouterMap): View {
    const positions = [...clusters, ...this.#prompts].map(({ position }) => position);
    const { scale, place } = frame(positions);
    const discs = clusters.map(({ task, position }) => {
      const [cx, cy] = place(position);
      return html`<circle
        class="cluster ${colourOf(tasks, task)}"
        cx=${cx}
        cy=${cy}
        r=${clusterRadius * scale}
      />`;
    });
    const labels = spread(
      tasks.flatMap((task) => {
        const own = clusters.filter((cluster) => cluster.task === task);
        return own.length === 0
          ? []
          : [{ task, position: place(meanOf(own.map(({ position }) => position))) }];
      }),
    ).map(
      ({ task, position: [x, y] }) =>
        html`<text class=${colourOf(tasks, task)} x=${x} y=${y + 4}>${task}</text>`,
    );
    const prompts = this.#prompts.map(({ number, text, task, position }) => {
      const [cx, cy] = place(position);
      const isLast = number === this.#prompts.length;
      return html`<g class="sent ${colourOf(tasks, task)} ${isLast && "last"}">
        <circle cx=${cx} cy=${cy} r=${isLast ? 9 : 7} />
        <text x=${cx} y=${cy + 4}>${number}</text>
        <title>${task}: ${shorten(text, 80)}</title>
      </g>`;
    });
    const label = `Map of ${clusters.length} clusters of ${tasks.length} tasks and ${prompts.length} prompts`;
    return html`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label=${label}>
      ${discs}${labels}${prompts}
    </svg>`;
  }

  #list(): View {
    if (this.#prompts.length === 0) return null;
    const tasks = this.#map?.tasks ?? [];
    return html`<ol class="sent-list" aria-label="Prompts on the map, the last first">
      ${this.#prompts
        .slice(-maxListed)
        .reverse()
        .map(
          ({ number, text, task, confidence }) =>
            html`<li key=${number}>
              <b>${number}</b>
              <span class="task ${colourOf(tasks, task)}">${task} ${percent(confidence)}</span>
              <span class="excerpt">${shorten(text, 120)}</span>
            </li>`,
        )}
    </ol>`;
  }
}

/** Room for all positions, at the same scale in both directions. */
function frame(positions: readonly WirePosition[]) {
  const extent = (axis: 0 | 1): readonly [number, number] => {
    const values = positions.map((position) => position[axis]);
    return [Math.min(...values) - 1, Math.max(...values) + 1];
  };
  const [[left, right], [bottom, top]] = [extent(0), extent(1)];
  const scale = Math.min(width / (right - left), height / (top - bottom));
  const place = ([x, y]: WirePosition): WirePosition => [
    width / 2 + scale * (x - (left + right) / 2),
    height / 2 - scale * (y - (bottom + top) / 2),
  ];
  return { scale, place };
}

/** Labels that none covers another of: where one would, it comes lower. */
function spread(labels: readonly Label[]): readonly Label[] {
  const placed: Label[] = [];
  for (const { task, position } of [...labels].sort((a, b) => a.position[1] - b.position[1])) {
    const [x] = position;
    let [, y] = position;
    const isCovered = () =>
      placed.some(
        (other) =>
          Math.abs(other.position[1] - y) < labelHeight &&
          Math.abs(other.position[0] - x) < (labelWidth * (task.length + other.task.length)) / 2,
      );
    while (isCovered()) y += 2;
    placed.push({ task, position: [x, y] });
  }
  return placed;
}

function meanOf(positions: readonly WirePosition[]): WirePosition {
  const mean = (axis: 0 | 1): number =>
    positions.reduce((sum, position) => sum + position[axis], 0) / positions.length;
  return [mean(0), mean(1)];
}
