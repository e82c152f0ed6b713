import type { Api } from "./api.ts";
import { duration } from "./format.ts";
import { factsList, html } from "./html.ts";
import type { Facts, View } from "./html.ts";
import { parseMetrics, quantile } from "./metrics-text.ts";
import type { Samples } from "./metrics-text.ts";
import { Plot } from "./plot.ts";
import type { PlotAxis } from "./plot.ts";

interface Scrape {
  readonly samples: Samples;
  /** Seconds since the epoch. */
  readonly time: number;
  /** Since the scrape before. */
  readonly tokensPerSecond: number;
}

/** Scrapes that are kept: five minutes of them. */
const maxScrapes = 150;

const timeAxis: PlotAxis = {
  label: "time",
  format: (seconds) => new Date(1000 * seconds).toLocaleTimeString(),
};

/** What the server does now, from its metrics. */
export class Live {
  readonly #api: Api;
  #scrapes: readonly Scrape[] = [];

  constructor(api: Api) {
    this.#api = api;
  }

  async refresh(): Promise<void> {
    const samples = parseMetrics(await this.#api.text("/metrics"));
    const time = Date.now() / 1000;
    const last = this.#scrapes.at(-1);
    const tokens = (each: Samples) => each.get("seap_generation_tokens_total") ?? 0;
    const passed = last === undefined ? 0 : time - last.time;
    const more = last === undefined ? 0 : tokens(samples) - tokens(last.samples);
    // Fewer than before: the server was started anew.
    const kept = more < 0 ? [] : this.#scrapes.slice(-(maxScrapes - 1));
    const tokensPerSecond = passed > 0 ? Math.max(0, more / passed) : 0;
    this.#scrapes = [...kept, { samples, time, tokensPerSecond }];
  }

  numbers(): View {
    const last = this.#scrapes.at(-1);
    if (last === undefined) return null;
    const facts: Facts = [
      ["Running", `${this.#gauge("running", last)}`],
      ["Waiting", `${this.#gauge("waiting", last)}`],
      ["Tokens/s", last.tokensPerSecond.toFixed(1)],
      ["First token, median", this.#firstToken(last)],
    ];
    return factsList("numbers", facts, "Live numbers");
  }

  view(): View {
    if (this.#scrapes.length < 2) return null;
    const times = this.#scrapes.map(({ time }) => time);
    const rates = this.#scrapes.map(({ tokensPerSecond }) => tokensPerSecond);
    const counts = (name: "running" | "waiting") =>
      this.#scrapes.map((scrape) => this.#gauge(name, scrape));
    return html`<section class="card live" aria-labelledby="live-title">
      <h2 id="live-title">Last minutes</h2>
      <div class="plots">
        <${Plot}
          label="Generated tokens per second over the last five minutes"
          series=${[{ label: "tokens/s", colour: "--accent" }]}
          data=${[times, rates]}
          x=${timeAxis}
          format=${(value: number) => `${Math.round(10 * value) / 10}`}
        />
        <${Plot}
          label="Running and waiting requests over the last five minutes"
          series=${[
            { label: "running", colour: "--accent" },
            { label: "waiting", colour: "--warm" },
          ]}
          data=${[times, counts("running"), counts("waiting")]}
          x=${timeAxis}
          format=${(value: number) => `${value}`}
        />
      </div>
    </section>`;
  }

  #gauge(name: "running" | "waiting", { samples }: Scrape): number {
    return samples.get(`seap_requests_${name}`) ?? 0;
  }

  /** Of the last minutes, or since the start where there was none. */
  #firstToken({ samples: to }: Scrape): string {
    const name = "seap_time_to_first_token_seconds";
    const from = this.#scrapes[0]!.samples;
    const seconds = quantile(name, 0.5, { from, to }) ?? quantile(name, 0.5, { to });
    return seconds === null ? "–" : duration(seconds);
  }
}
