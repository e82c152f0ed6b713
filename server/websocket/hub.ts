import type { IncomingMessage } from "node:http";
import type { WebSocket } from "ws";
import type { ClientId } from "../security/api-keys.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";

const tickMs = 1000;

/** All WebSocket connections. */
export class WebSocketHub {
  readonly #options: ConnectionOptions;
  readonly #connections = new Map<WebSocket, Connection>();
  readonly #stopTicking: () => void;
  #isStopping = false;
  #whenEmpty = (): void => undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#stopTicking = options.clock.every(tickMs, () => {
      for (const connection of this.#connections.values()) connection.tick();
    });
  }

  get size(): number {
    return this.#connections.size;
  }

  /** @param client - null where a key is needed and has not come */
  add(ws: WebSocket, request: IncomingMessage, client: ClientId | null): void {
    const connection = new Connection(ws, request, client, this.#options);
    this.#connections.set(ws, connection);
    ws.once("close", (code) => {
      this.#options.log.debug("websocket closed", { code });
      this.#connections.delete(ws);
      if (this.size === 0) this.#whenEmpty();
    });
    if (this.#isStopping) connection.stop();
  }

  /** Each connection closes when nothing is running on it. */
  stop(): void {
    this.#isStopping = true;
    for (const connection of this.#connections.values()) connection.stop();
  }

  /** Settles when all connections are closed, after `stop`. */
  async closed(): Promise<void> {
    if (this.size > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
    this.#stopTicking();
  }
}
