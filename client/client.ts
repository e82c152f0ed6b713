import { Answer } from "./answer.ts";
import { SeapConnectionError, SeapServerError } from "./errors.ts";
import type { ChatBody, ClientMessage, CompletionBody, ServerEvent } from "./messages.ts";

export { Answer, type AnswerEvent, type WholeAnswer } from "./answer.ts";
export { SeapConnectionError, SeapServerError } from "./errors.ts";
export type * from "./messages.ts";

/** What is needed of a WebSocket: that of browsers, of Node 22 and later, and of the package `ws` all have it. */
export interface WebSocketLike {
  send(text: string): void;
  close(code?: number): void;
  addEventListener(
    type: "open" | "message" | "close" | "error",
    listener: (event: SocketEvent) => void,
  ): void;
}

/** An event of a socket; each type has fields of its own. */
export interface SocketEvent {
  readonly type: string;
  readonly data?: unknown;
  readonly code?: number;
  readonly reason?: string;
}

export interface ConnectOptions {
  readonly apiKey?: string;
  /** @default the global one */
  readonly WebSocket?: new (url: string) => WebSocketLike;
}

/** A connection to a seap server: any number of answers side by side. */
export class SeapClient {
  readonly #socket: WebSocketLike;
  readonly #answers = new Map<string, Answer>();
  #numAnswers = 0;
  #closed: SeapConnectionError | undefined;
  #settle: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;

  private constructor(socket: WebSocketLike) {
    this.#socket = socket;
  }

  /**
   * Opens a connection and shows the key.
   * @param url - such as ws://127.0.0.1:8000/v1/ws
   * @throws SeapConnectionError when it cannot be opened.
   * @throws SeapServerError when the server does not take the key.
   */
  static async connect(url: string, options: ConnectOptions = {}): Promise<SeapClient> {
    const { WebSocket = globalWebSocket(), apiKey } = options;
    const client = new SeapClient(new WebSocket(url));
    await client.#open(apiKey);
    return client;
  }

  /** @param body - as for POST /v1/chat/completions, without `stream` */
  chat(body: ChatBody): Answer {
    return this.#ask("chat", body);
  }

  /** @param body - as for POST /v1/completions, without `stream` */
  complete(body: CompletionBody): Answer {
    return this.#ask("completion", body);
  }

  /** What is running is cancelled. */
  close(): void {
    this.#socket.close(1000);
  }

  #open(apiKey: string | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      const socket = this.#socket;
      socket.addEventListener("open", () => {
        if (apiKey === undefined) resolve();
        else this.#send({ type: "auth", api_key: apiKey });
      });
      socket.addEventListener("message", ({ data }) => {
        this.#onEvent(JSON.parse(data as string) as ServerEvent);
      });
      socket.addEventListener("close", ({ code = 1006, reason = "" }) => {
        this.#onClose(code, reason);
      });
      // The close event that follows says what there is to say; without a listener `ws` would throw.
      socket.addEventListener("error", () => undefined);
    });
  }

  #ask(type: "chat" | "completion", body: object): Answer {
    const id = String(++this.#numAnswers);
    const answer = new Answer(id, () => this.#send({ type: "cancel", id }));
    if (this.#closed === undefined) {
      this.#answers.set(id, answer);
      this.#send({ type, id, body });
    } else {
      answer.fail(this.#closed);
    }
    return answer;
  }

  #send(message: ClientMessage): void {
    if (this.#closed === undefined) this.#socket.send(JSON.stringify(message));
  }

  #onEvent(event: ServerEvent): void {
    switch (event.type) {
      case "authenticated":
        this.#settle?.resolve();
        return;
      case "pong":
        return;
      case "error": {
        const error = new SeapServerError(event);
        if (event.id === undefined) this.#settle?.reject(error);
        else this.#take(event.id)?.fail(error);
        return;
      }
      case "done":
        this.#take(event.id)?.take(event);
        return;
      case "start":
      case "delta":
        this.#answers.get(event.id)?.take(event);
    }
  }

  #take(id: string): Answer | undefined {
    const answer = this.#answers.get(id);
    this.#answers.delete(id);
    return answer;
  }

  #onClose(code: number, reason: string): void {
    const said = reason === "" ? `code ${code}` : `code ${code}: ${reason}`;
    this.#closed = new SeapConnectionError(`The connection was closed (${said}).`, code);
    this.#settle?.reject(this.#closed);
    for (const answer of this.#answers.values()) answer.fail(this.#closed);
    this.#answers.clear();
  }
}

function globalWebSocket(): new (url: string) => WebSocketLike {
  const { WebSocket } = globalThis as { WebSocket?: new (url: string) => WebSocketLike };
  if (WebSocket !== undefined) return WebSocket;
  throw new SeapConnectionError(
    "There is no global WebSocket here: Node has it from version 22 on. Pass that of the package ws.",
  );
}
