import { render } from "/assets/preact.js";
import { Api, ApiError, problemOf } from "./api.ts";
import { Chat } from "./chat.ts";
import { Conversation } from "./conversation.ts";
import { Experts } from "./experts.ts";
import { html } from "./html.ts";
import type { View } from "./html.ts";
import { Live } from "./live.ts";
import { PromptMap } from "./router-map.ts";
import type { WireModels } from "./wire.ts";

const refreshMs = 2000;

/** All of the page. */
class Page {
  readonly #api = new Api();
  readonly #changed = () => this.#schedule();
  readonly #conversation = new Conversation(this.#api, this.#changed);
  readonly #map = new PromptMap(this.#api);
  readonly #chat = new Chat({
    conversation: this.#conversation,
    map: this.#map,
    changed: this.#changed,
  });
  readonly #experts = new Experts(this.#api, this.#changed);
  readonly #live = new Live(this.#api);
  #problem: string | null = "Loading …";
  /** The server has answered, and may be asked. */
  #isReady = false;
  #needsKey = false;
  #isScheduled = false;
  /** As shown. */
  #numTurns = 0;

  /** Goes on as long as the page is there. */
  async run(): Promise<void> {
    this.#changed();
    for (;;) {
      if (!document.hidden) await this.#refresh();
      await new Promise((resolve) => setTimeout(resolve, refreshMs));
    }
  }

  async #refresh(): Promise<void> {
    try {
      if (!this.#isReady) {
        const { data } = await this.#api.get<WireModels>("/v1/models");
        this.#useModels(data);
      }
      const parts = [this.#map, this.#experts, this.#live];
      await Promise.all(parts.map((part) => part.refresh()));
      this.#isReady = true;
      this.#problem = null;
      this.#needsKey = false;
    } catch (error) {
      this.#isReady = false;
      this.#needsKey = error instanceof ApiError && error.status === 401;
      const isRefused = error instanceof ApiError;
      this.#problem = isRefused ? error.message : `The server does not answer. ${problemOf(error)}`;
    }
    this.#changed();
  }

  /** Names are the model's, its aliases, and `<model>:<task>`. */
  #useModels(models: WireModels["data"]): void {
    const model = models[0]?.root ?? "";
    const prefix = `${model}:`;
    this.#chat.model = model;
    this.#chat.tasks = models
      .filter(({ id }) => id.startsWith(prefix))
      .map(({ id }) => id.slice(prefix.length));
    document.title = `${model} · seap`;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      const numTurns = this.#conversation.turns.length;
      const isFollowing = isAtEnd(document.querySelector(".log")) || numTurns !== this.#numTurns;
      this.#numTurns = numTurns;
      render(this.#view(), document.body);
      const log = document.querySelector(".log");
      if (isFollowing) log?.scrollTo({ top: log.scrollHeight });
    });
  }

  #view(): View {
    const { model, tasks } = this.#chat;
    return html`<div class="page">
      <a class="skip" href="#prompt">Skip to the prompt</a>
      <header>
        <h1>seap</h1>
        <span class="model">${model}</span>
        ${this.#live.numbers()}
      </header>
      <p class="status" role="status">${this.#needsKey ? null : this.#problem}</p>
      ${(this.#needsKey || this.#api.key !== null) && this.#keyForm()}
      <main>
        ${this.#chat.view(this.#isReady)} ${this.#map.view()} ${this.#experts.view(tasks)}
        ${this.#live.view()}
      </main>
    </div>`;
  }

  #keyForm(): View {
    const use = (key: string | null) => {
      this.#api.key = key;
      this.#isReady = false;
      void this.#refresh();
    };
    if (!this.#needsKey) {
      return html`<p key="has-key" class="key">
        A key is used, and forgotten with this tab.
        <button type="button" onClick=${() => use(null)}>Forget it now</button>
      </p>`;
    }
    const onSubmit = (event: SubmitEvent) => {
      event.preventDefault();
      const input = (event.currentTarget as HTMLFormElement).elements.namedItem("key");
      use((input as HTMLInputElement).value.trim() || null);
    };
    return html`<form key="needs-key" class="key" onSubmit=${onSubmit}>
      <label for="key">API key</label>
      <input id="key" name="key" type="password" autocomplete="off" required />
      <button type="submit" class="main">Use</button>
      ${this.#api.key !== null && html`<span class="problem" role="alert">${this.#problem}</span>`}
    </form>`;
  }
}

/** Who has scrolled up reads there. */
function isAtEnd(log: Element | null): boolean {
  return log !== null && log.scrollHeight - log.scrollTop - log.clientHeight < 40;
}

void new Page().run();
