import { WebSocket } from "ws";
import type { ServerEvent } from "./messages.ts";

export interface OutboxOptions {
  readonly maxBufferedBytes: number;
  readonly nowMs: () => number;
  readonly onSent: (type: ServerEvent["type"]) => void;
}

/**
 * Sends a connection's events. While the client reads too slowly nothing is read from it either, so that what it
 * sends cannot make the buffer grow.
 */
export class Outbox {
  readonly #ws: WebSocket;
  readonly #options: OutboxOptions;
  #draining: Promise<void> | undefined;
  #drained = (): void => undefined;
  #progressMs = 0;

  constructor(ws: WebSocket, options: OutboxOptions) {
    this.#ws = ws;
    this.#options = options;
    ws.once("close", () => this.#resume());
  }

  /** @returns a promise only when the client reads too slowly: await it before the next event of an answer. */
  send(event: ServerEvent): Promise<void> | undefined {
    if (this.#ws.readyState !== WebSocket.OPEN) return undefined;
    this.#options.onSent(event.type);
    this.#ws.send(JSON.stringify(event), () => this.#onWritten());
    if (this.#draining === undefined && this.#isFull()) {
      this.#progressMs = this.#options.nowMs();
      this.#ws.pause();
      this.#draining = new Promise((resolve) => (this.#drained = resolve));
    }
    return this.#draining;
  }

  get isStalled(): boolean {
    return this.#draining !== undefined;
  }

  /** How long the client has read nothing; 0 where it need not. */
  get stalledMs(): number {
    return this.isStalled ? this.#options.nowMs() - this.#progressMs : 0;
  }

  #isFull(): boolean {
    return this.#ws.bufferedAmount > this.#options.maxBufferedBytes;
  }

  #onWritten(): void {
    if (!this.isStalled) return;
    this.#progressMs = this.#options.nowMs();
    if (!this.#isFull()) this.#resume();
  }

  #resume(): void {
    if (!this.isStalled) return;
    this.#draining = undefined;
    this.#ws.resume();
    this.#drained();
  }
}
