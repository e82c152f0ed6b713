import type {
  ChoicePiece,
  DeltaEvent,
  DoneEvent,
  Route,
  ServerEvent,
  StartEvent,
  Usage,
} from "./messages.ts";

export type AnswerEvent = StartEvent | DeltaEvent | DoneEvent;

/** All of an answer's first choice. */
export interface WholeAnswer {
  readonly text: string;
  /** What the model thought before; empty where it told of nothing. */
  readonly reasoning: string;
  readonly finishReason: string | null;
  readonly usage: Usage | null;
  readonly route: Route | null;
}

/**
 * One answer, with a queue of its own as the client imports nothing: its events can be iterated over, once, as they come. Leaving the iteration early cancels it.
 * Iterating throws SeapServerError or SeapConnectionError.
 */
export class Answer implements AsyncIterable<AnswerEvent> {
  readonly id: string;
  readonly #cancel: () => void;
  readonly #events: AnswerEvent[] = [];
  #error: Error | undefined;
  #hasEnded = false;
  #wake = (): void => undefined;

  constructor(id: string, cancel: () => void) {
    this.id = id;
    this.#cancel = cancel;
  }

  /** Ends the answer on the server; iterating then throws SeapServerError with code `cancelled`. */
  cancel(): void {
    if (!this.#hasEnded) this.#cancel();
  }

  /** Text of the first choice, piece by piece. */
  async *text(): AsyncGenerator<string, void, void> {
    for await (const event of this) {
      if (event.type !== "delta") continue;
      const text = textOf(event);
      if (text !== "") yield text;
    }
  }

  /** Waits for the end. */
  async whole(): Promise<WholeAnswer> {
    let [text, reasoning, route]: [string, string, Route | null] = ["", "", null];
    for await (const event of this) {
      if (event.type === "start") route = event.seap;
      else if (event.type === "delta") {
        text += textOf(event);
        reasoning += reasoningOf(event);
      } else {
        return { text, reasoning, finishReason: event.finish_reason, usage: event.usage, route };
      }
    }
    throw new Error("The answer was iterated over before.");
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AnswerEvent, void, void> {
    try {
      for (;;) {
        const event = this.#events.shift();
        if (event !== undefined) {
          yield event;
          if (event.type === "done") return;
        } else if (this.#error !== undefined) {
          throw this.#error;
        } else if (this.#hasEnded) {
          return;
        } else {
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
      }
    } finally {
      this.cancel();
    }
  }

  /** For the client: takes what the server sent. */
  take(event: Extract<ServerEvent, AnswerEvent>): void {
    this.#events.push(event);
    if (event.type === "done") this.#hasEnded = true;
    this.#wake();
  }

  /** For the client. */
  fail(error: Error): void {
    this.#hasEnded = true;
    this.#error = error;
    this.#wake();
  }
}

function textOf(event: DeltaEvent): string {
  return joined(event, ({ delta, text }) => delta?.content ?? text);
}

function reasoningOf(event: DeltaEvent): string {
  return joined(event, ({ delta }) => delta?.reasoning_content);
}

/** Of the first choice. */
function joined(
  { choices }: DeltaEvent,
  partOf: (piece: ChoicePiece) => string | null | undefined,
): string {
  return choices
    .filter(({ index }) => index === 0)
    .map((piece) => partOf(piece) ?? "")
    .join("");
}
