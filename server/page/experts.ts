import { problemOf } from "./api.ts";
import type { Api } from "./api.ts";
import { colourOf, size, percent } from "./format.ts";
import { html } from "./html.ts";
import type { View } from "./html.ts";
import { PlanFigure } from "./plan-figure.ts";
import type { WireExpert, WireExpertList, WirePlan } from "./wire.ts";

type Command = "build" | "load" | "evict";

/** The unpruned model, which nothing can be done to. */
const denseExpert = "dense";

/** What makes sense in a state; nothing in the others. */
const commandsOf: Readonly<Partial<Record<WireExpert["state"], readonly Command[]>>> = {
  absent: ["build", "load"],
  failed: ["build", "load"],
  stored: ["load"],
  resident: ["evict"],
  "over-budget": ["build"],
  suspended: ["build"],
};

const wordOf = { build: "Build", load: "Load", evict: "Evict" } as const;

/** The experts and what can be done to them. */
export class Experts {
  readonly #api: Api;
  readonly #changed: () => void;
  #list: WireExpertList | null = null;
  #plan: WirePlan | null = null;
  #problem: string | null = null;

  constructor(api: Api, changed: () => void) {
    this.#api = api;
    this.#changed = changed;
  }

  async refresh(): Promise<void> {
    this.#list = await this.#api.get<WireExpertList>("/v1/experts");
  }

  view(tasks: readonly string[]): View {
    if (this.#list === null) return null;
    const { data } = this.#list;
    return html`<section class="card experts" aria-labelledby="experts-title">
      <h2 id="experts-title">Experts</h2>
      ${
        data.length === 0
          ? html`<p class="hint">This server has none: the dense model answers everything.</p>`
          : [this.#memory(this.#list, tasks), this.#table(data, tasks)]
      }
      ${this.#problem && html`<p class="problem" role="alert">${this.#problem}</p>`}
      ${this.#plan && this.#planView(this.#plan)}
    </section>`;
  }

  #memory(
    { data, memory_budget_bytes, memory_used_bytes }: WireExpertList,
    tasks: readonly string[],
  ): View {
    const experts = data.filter((each) => each.id !== denseExpert && each.resident_bytes > 0);
    const said = `${size(memory_used_bytes)} of ${size(memory_budget_bytes)}`;
    return html`<div class="memory">
      <span>Memory of experts: ${said}</span>
      <div class="bar" role="img" aria-label="Memory of experts: ${said}">
        ${experts.map(({ id, resident_bytes }) => {
          const width = percent(resident_bytes / memory_budget_bytes, 2).replace(" ", "");
          return html`<span
            key=${id}
            class=${colourOf(tasks, id)}
            style=${{ width }}
            title="${id}: ${size(resident_bytes)}"
          ></span>`;
        })}
      </div>
    </div>`;
  }

  #table(experts: readonly WireExpert[], tasks: readonly string[]): View {
    const heads = [
      "Expert",
      "State",
      "Memory",
      "Pruned",
      "Perplexity",
      "Used",
      "Missed",
      "Actions",
    ];
    return html`<table>
      <thead>
        <tr>
          ${heads.map((head) => html`<th scope="col">${head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${experts.map((expert) => this.#row(expert, tasks))}
      </tbody>
    </table>`;
  }

  #row(expert: WireExpert, tasks: readonly string[]): View {
    const { id, state, problem, sparsity, held_out_loss_increase: loss, hits, misses } = expert;
    const isDense = id === denseExpert;
    const cells: [string, unknown][] = [
      ["Memory", expert.resident_bytes > 0 ? size(expert.resident_bytes) : "–"],
      ["Pruned", sparsity === null ? "–" : percent(sparsity)],
      ["Perplexity", loss === null ? "–" : `${loss < 0 ? "−" : "+"}${percent(Math.abs(loss), 1)}`],
      ["Used", hits],
      ["Missed", isDense ? "–" : misses],
    ];
    return html`<tr key=${id}>
      <th scope="row" tabindex="-1"><span class="task ${colourOf(tasks, id)}">${id}</span></th>
      <td data-label="State">
        ${this.#state(expert)}${problem && html`<span class="problem">${problem}</span>`}
      </td>
      ${cells.map(([name, value]) => html`<td class="number" data-label=${name}>${value}</td>`)}
      <td class="commands">${isDense ? "" : this.#buttons(id, state, sparsity !== null)}</td>
    </tr>`;
  }

  #state({ id, state, progress, running }: WireExpert): View {
    const said = running > 0 ? `${state}, ${running} running` : state;
    if (progress === null) return html`<span class="state ${state}">${said}</span>`;
    const phase = progress.phase.replace(`${id}: `, "");
    return html`<span class="state ${state}">
      ${said}: ${phase}
      <progress max="1" value=${progress.share} aria-label="${id}: ${phase}"></progress>
    </span>`;
  }

  #buttons(id: string, state: WireExpert["state"], hasPlan: boolean): unknown {
    const commands = (commandsOf[state] ?? []).map(
      (command) =>
        html`<button
          key=${command}
          type="button"
          aria-label="${wordOf[command]} ${id}"
          onClick=${({ currentTarget }: Event) => {
            // The button goes away with the state.
            (currentTarget as Element).closest("tr")?.querySelector("th")?.focus();
            void this.#command(id, command);
          }}
        >
          ${wordOf[command]}
        </button>`,
    );
    const isOpen = this.#plan?.task === id;
    return [
      ...commands,
      hasPlan &&
        html`<button
          key="plan"
          type="button"
          aria-label="Plan of ${id}"
          aria-expanded=${isOpen}
          onClick=${() => this.#toggle(id)}
        >
          Plan
        </button>`,
    ];
  }

  #planView(plan: WirePlan): View {
    return html`<div class="plan">
      <h3>What ${plan.task} keeps</h3>
      <${PlanFigure} key=${plan.task} plan=${plan} />
    </div>`;
  }

  async #command(id: string, command: Command): Promise<void> {
    await this.#try(async () => {
      await this.#api.post(`/v1/experts/${id}/${command}`);
      await this.refresh();
    });
  }

  async #toggle(id: string): Promise<void> {
    await this.#try(async () => {
      const isOpen = this.#plan?.task === id;
      this.#plan = isOpen ? null : await this.#api.get<WirePlan>(`/v1/experts/${id}/plan`);
    });
  }

  async #try(act: () => Promise<void>): Promise<void> {
    this.#problem = null;
    try {
      await act();
    } catch (error) {
      this.#problem = problemOf(error);
    }
    this.#changed();
  }
}
