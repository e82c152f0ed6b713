import { problemOf } from "./api.ts";
import type { Conversation, ShownAnswer, Turn } from "./conversation.ts";
import { colourOf, duration, percent } from "./format.ts";
import { factsList, html } from "./html.ts";
import type { Facts, View } from "./html.ts";
import type { PromptMap } from "./router-map.ts";

/** The name of dense, which is none of the tasks. */
const denseTask = "none";

export interface ChatOptions {
  readonly conversation: Conversation;
  readonly map: PromptMap;
  readonly changed: () => void;
}

/** Asking and answering. */
export class Chat {
  readonly #conversation: Conversation;
  readonly #map: PromptMap;
  readonly #changed: () => void;
  /** Of the model, without a task. */
  model = "";
  tasks: readonly string[] = [];
  #prompt = "";
  /** Empty: the router chooses. */
  #task = "";
  #isComparing = false;
  /** As typed. */
  #maxTokens = "200";
  #problem: string | null = null;

  constructor({ conversation, map, changed }: ChatOptions) {
    this.#conversation = conversation;
    this.#map = map;
    this.#changed = changed;
  }

  view(isReady: boolean): View {
    const { turns, isRunning } = this.#conversation;
    return html`<section class="card chat" aria-labelledby="chat-title">
      <div class="head">
        <h2 id="chat-title">Chat</h2>
        ${turns.length > 0 && html`<button type="button" onClick=${() => this.#clear()}>New chat</button>`}
      </div>
      <div class="log" role="log" aria-label="Conversation" aria-busy=${isRunning} tabindex="0">
        ${turns.length === 0 && html`<p class="hint">Ask something: each answer tells which expert gave it, and why.</p>`}
        ${turns.map((turn) => this.#turn(turn))}
      </div>
      ${this.#problem && html`<p class="problem" role="alert">${this.#problem}</p>`}
      ${this.#form(isReady, isRunning)}
    </section>`;
  }

  #form(isReady: boolean, isRunning: boolean): View {
    const onSubmit = (event: Event) => {
      event.preventDefault();
      if (isRunning) this.#conversation.stop();
      else if (isReady) void this.#send();
    };
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (isReady && !isRunning) void this.#send();
    };
    const options = [
      ["", "the router's choice"],
      ...this.tasks.map((task) => [task, task]),
      [denseTask, "dense"],
    ];
    return html`<form onSubmit=${onSubmit}>
      <label class="prompt-label" for="prompt">Prompt</label>
      <textarea
        id="prompt"
        rows="3"
        placeholder="Enter sends, Shift and Enter begins a line"
        value=${this.#prompt}
        onInput=${(event: Event) => (this.#prompt = valueOf(event))}
        onKeyDown=${onKeyDown}
      ></textarea>
      <div class="controls">
        <span class="field">
          <label for="task">Expert</label>
          <select
            id="task"
            value=${this.#task}
            onChange=${(event: Event) => {
              this.#task = valueOf(event);
              this.#changed();
            }}
          >
            ${options.map(([value, name]) => html`<option value=${value}>${name}</option>`)}
          </select>
        </span>
        <span class="field">
          <label for="most-tokens">Most tokens</label>
          <input
            id="most-tokens"
            type="number"
            min="1"
            max="4096"
            value=${this.#maxTokens}
            onInput=${(event: Event) => (this.#maxTokens = valueOf(event))}
          />
        </span>
        <span class="field">
          <input
            id="beside-dense"
            type="checkbox"
            checked=${this.#isComparing}
            onChange=${(event: Event) => {
              this.#isComparing = (event.currentTarget as HTMLInputElement).checked;
            }}
          />
          <label for="beside-dense">beside dense</label>
        </span>
        <button type="submit" class="main" disabled=${!isReady}>
          ${isRunning ? "Stop" : "Send"}
        </button>
      </div>
    </form>`;
  }

  #clear(): void {
    this.#conversation.clear();
    document.getElementById("prompt")?.focus();
  }

  async #send(): Promise<void> {
    const prompt = this.#prompt.trim();
    if (prompt === "") return;
    this.#prompt = "";
    this.#problem = null;
    const model = this.#task === "" ? this.model : `${this.model}:${this.#task}`;
    const maxTokens = Math.max(1, Math.floor(Number(this.#maxTokens)) || 1);
    const models = this.#isComparing ? [model, `${this.model}:${denseTask}`] : [model];
    const placed = this.#map.add(this.#conversation.messages(0, prompt), prompt);
    const answered = this.#conversation.ask({ prompt, models, maxTokens });
    try {
      await placed;
    } catch (error) {
      this.#problem = `The prompt is not on the map: ${problemOf(error)}`;
    }
    this.#changed();
    await answered;
  }

  #turn({ number, prompt, answers }: Turn): View {
    return html`<article class="turn" key=${number} aria-label="Prompt ${number}">
      <p class="prompt">${prompt}</p>
      <div class="answers">
        ${answers.map((answer, column) => this.#answer(answer, answers.length > 1 && column === 1))}
      </div>
    </article>`;
  }

  #answer(answer: ShownAnswer, isDense: boolean): View {
    const { text, reasoning, state, problem, route } = answer;
    const expert = route?.expert ?? (isDense ? "dense" : null);
    return html`<div
      class="answer ${colourOf(this.tasks, expert ?? "")}"
      aria-busy=${state === "running" || state === "waiting"}
    >
      <h3>${expert ?? "…"}</h3>
      ${
        reasoning &&
        html`<details class="reasoning">
          <summary>thoughts</summary>
          <p class="text">${reasoning}</p>
        </details>`
      }
      <p class="text">
        ${text}${state === "running" && html`<span class="caret" aria-hidden="true"></span>`}
      </p>
      ${state === "waiting" && html`<p class="hint">waiting for the first token</p>`}
      ${state === "stopped" && html`<p class="hint">stopped</p>`}
      ${problem && html`<p class="problem" role="alert">${problem}</p>`} ${this.#facts(answer)}
    </div>`;
  }

  #facts({ route, tokens, tokensPerSecond, firstTokenSeconds }: ShownAnswer): View {
    if (route === null) return null;
    const { task, confidence, route: why, expert, reason } = route;
    const facts: Facts = [
      ["task", html`<span class="task ${colourOf(this.tasks, task)}">${task}</span>`],
      ["confidence", percent(confidence)],
      ["decided by", wordsOf(why)],
      ["expert", reason === why ? expert : `${expert} (${wordsOf(reason)})`],
      ["speed", tokensPerSecond === null ? null : `${tokensPerSecond.toFixed(1)} tokens/s`],
      ["first token", firstTokenSeconds === null ? null : duration(firstTokenSeconds)],
      ["length", tokens === 0 ? null : `${tokens} tokens`],
    ];
    return factsList("facts", facts);
  }
}

const reasons: Readonly<Record<string, string>> = {
  matched: "router",
  "out-of-distribution": "router: unlike the tasks",
  override: "you",
  rule: "a rule",
  sticky: "the conversation",
  "no-router": "nothing",
  "no-task": "no task",
  building: "its own is being built",
  loading: "its own is being loaded",
  memory: "no room for its own",
  load: "faster for all now",
  off: "no expert of its own",
};

function wordsOf(reason: string): string {
  return reasons[reason] ?? reason;
}

function valueOf({ currentTarget }: Event): string {
  return (currentTarget as HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement).value;
}
