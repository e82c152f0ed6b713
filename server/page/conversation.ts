import type { Answer, ChatBody, Route, SeapClient } from "/assets/client/client.js";
import { problemOf } from "./api.ts";
import type { Api } from "./api.ts";

/** How far an answer has come. */
export interface ShownAnswer {
  /** Name of the model that was asked. */
  readonly model: string;
  text: string;
  /** What the model thought before. */
  reasoning: string;
  route: Route | null;
  state: "waiting" | "running" | "done" | "stopped" | "failed";
  problem: string | null;
  /** From sending to the first text. */
  firstTokenSeconds: number | null;
  tokens: number;
  tokensPerSecond: number | null;
}

/** A prompt and its answers: the expert's and, where they are compared, dense's. */
export interface Turn {
  readonly number: number;
  readonly prompt: string;
  readonly answers: readonly ShownAnswer[];
}

export interface AskOptions {
  readonly prompt: string;
  /** One or two. */
  readonly models: readonly string[];
  readonly maxTokens: number;
}

type Message = ChatBody["messages"][number];

/** What was said, and what is being answered now. */
export class Conversation {
  readonly #api: Api;
  readonly #changed: () => void;
  #turns: readonly Turn[] = [];
  #client: SeapClient | null = null;

  constructor(api: Api, changed: () => void) {
    this.#api = api;
    this.#changed = changed;
  }

  get turns(): readonly Turn[] {
    return this.#turns;
  }

  get isRunning(): boolean {
    return this.#turns.at(-1)?.answers.some(({ state }) => isOpen(state)) ?? false;
  }

  /** What a model is sent that gives the answers of a column. */
  messages(column: number, prompt: string): readonly Message[] {
    const before = this.#turns.flatMap(({ prompt: content, answers }): Message[] => {
      const answer = answers[column] ?? answers[0]!;
      if (answer.text === "") return [];
      return [
        { role: "user", content },
        { role: "assistant", content: answer.text },
      ];
    });
    return [...before, { role: "user", content: prompt }];
  }

  async ask({ prompt, models, maxTokens }: AskOptions): Promise<void> {
    const bodies = models.map((model, column) => ({
      model,
      messages: this.messages(column, prompt),
      max_completion_tokens: maxTokens,
      // Two answers are to differ by what gave them alone.
      ...(models.length > 1 && { temperature: 0 }),
    }));
    const answers = models.map((model): ShownAnswer => ({
      ...{ model, text: "", reasoning: "", route: null, state: "waiting", problem: null },
      ...{ firstTokenSeconds: null, tokens: 0, tokensPerSecond: null },
    }));
    this.#turns = [...this.#turns, { number: this.#turns.length + 1, prompt, answers }];
    this.#changed();
    try {
      const client = (this.#client = await this.#api.connect());
      const follow = (shown: ShownAnswer, index: number) =>
        this.#follow(shown, client.chat(bodies[index]!));
      // It may have been stopped meanwhile.
      if (this.isRunning) await Promise.all(answers.map(follow));
      client.close();
    } catch (error) {
      for (const shown of answers) fail(shown, problemOf(error));
    } finally {
      this.#client = null;
      this.#changed();
    }
  }

  /** What has come so far stays. */
  stop(): void {
    for (const shown of this.#turns.at(-1)?.answers ?? []) {
      if (isOpen(shown.state)) shown.state = "stopped";
    }
    this.#client?.close();
    this.#changed();
  }

  clear(): void {
    this.stop();
    this.#turns = [];
    this.#changed();
  }

  async #follow(shown: ShownAnswer, answer: Answer): Promise<void> {
    const sentMs = performance.now();
    let firstMs: number | null = null;
    try {
      for await (const event of answer) {
        if (event.type === "start") shown.route = event.seap;
        else if (event.type === "delta") {
          const text = event.choices.map(({ delta }) => delta?.content ?? "").join("");
          const reasoning = event.choices
            .map(({ delta }) => delta?.reasoning_content ?? "")
            .join("");
          if (text === "" && reasoning === "") continue;
          const nowMs = performance.now();
          firstMs ??= nowMs;
          shown.state = "running";
          shown.text += text;
          shown.reasoning += reasoning;
          shown.firstTokenSeconds = (firstMs - sentMs) / 1000;
          count(shown, shown.tokens + 1, (nowMs - firstMs) / 1000);
        } else {
          shown.state = "done";
          const seconds = (performance.now() - (firstMs ?? sentMs)) / 1000;
          count(shown, event.usage?.completion_tokens ?? shown.tokens, seconds);
        }
        this.#changed();
      }
    } catch (error) {
      fail(shown, problemOf(error));
      this.#changed();
    }
  }
}

/** @param seconds since the first token */
function count(shown: ShownAnswer, tokens: number, seconds: number): void {
  shown.tokens = tokens;
  if (tokens > 1 && seconds > 0) shown.tokensPerSecond = (tokens - 1) / seconds;
}

function fail(shown: ShownAnswer, problem: string): void {
  if (!isOpen(shown.state)) return;
  shown.state = "failed";
  shown.problem = problem;
}

function isOpen(state: ShownAnswer["state"]): boolean {
  return state === "waiting" || state === "running";
}
