import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import type { Haproxy } from "./haproxy.ts";

/** A streamed answer, from its request to its end. */
export interface Exchange {
  readonly conversation: string;
  readonly startedMs: number;
  /** Which one answers; undefined until the answer begins. */
  replica?: string | undefined;
  outcome: "running" | "whole" | "failed";
  /** What was said, or what went wrong. */
  detail: string;
}

/** Asks one question at a time in each of many conversations, until it is stopped. */
export class ReplicaLoad {
  /** All so far. */
  readonly exchanges: Exchange[] = [];
  readonly #haproxy: Haproxy;
  readonly #body: object;
  readonly #workers: readonly Promise<void>[];
  readonly #watchers = new Set<() => void>();
  #isStopping = false;

  constructor(haproxy: Haproxy, conversations: readonly string[], body: object) {
    this.#haproxy = haproxy;
    this.#body = { ...body, stream: true };
    this.#workers = conversations.map((conversation) => this.#converse(conversation));
  }

  /** Those that are not answered yet. */
  get running(): readonly Exchange[] {
    return this.exchanges.filter(({ outcome }) => outcome === "running");
  }

  /** Settles when the exchanges are as they should be. */
  until(areSo: (load: ReplicaLoad) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!areSo(this)) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  /** Lets what is running end. */
  async stop(): Promise<readonly Exchange[]> {
    this.#isStopping = true;
    await Promise.all(this.#workers);
    return this.exchanges;
  }

  async #converse(conversation: string): Promise<void> {
    while (!this.#isStopping) {
      const exchange: Exchange = {
        ...{ conversation, startedMs: performance.now(), outcome: "running", detail: "" },
      };
      this.exchanges.push(exchange);
      try {
        const headers = { "x-seap-conversation": conversation };
        const body = this.#body;
        const response = await this.#haproxy.send("POST", "/v1/chat/completions", {
          ...{ headers, body },
        });
        exchange.replica = replicaOf(response);
        this.#look();
        exchange.detail = await textOf(response);
        exchange.outcome = "whole";
      } catch (error) {
        exchange.detail = String(error);
        exchange.outcome = "failed";
      }
      this.#look();
    }
  }

  #look(): void {
    for (const look of this.#watchers) look();
  }
}

export function replicaOf({ headers }: IncomingMessage): string | undefined {
  const value = headers["x-seap-replica"];
  return typeof value === "string" ? value : undefined;
}

/** All that the pieces of a stream say. @throws where it is not whole */
async function textOf(response: IncomingMessage): Promise<string> {
  const body = await text(response);
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}: ${body}`);
  const pieces = [...body.matchAll(/^data: (.+)$/gm)].map(([, piece]) => piece!);
  if (pieces.pop() !== "[DONE]") throw new Error(`no end: ${body.slice(-200)}`);
  type Piece = { readonly choices: readonly { readonly delta: { readonly content?: string } }[] };
  return pieces
    .map((piece) => (JSON.parse(piece) as Piece).choices[0]?.delta.content ?? "")
    .join("");
}
