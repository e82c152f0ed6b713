import type { Response } from "express";
import type { RoutedEvent } from "../engine/request.ts";
import { setRouteHeaders } from "./routing/route-wire.ts";
import { SseStream } from "./sse.ts";

/**
 * When a stream's headers are sent: with the route, or without where that takes longer than the client may be left
 * in silence.
 */
export class StreamStart {
  /** Settles when the headers have been sent; rejects with the signal's reason where they never will be. */
  readonly stream: Promise<SseStream>;
  readonly #res: Response;
  readonly #keepAliveMs: number;
  readonly #timer: NodeJS.Timeout;
  #resolve!: (stream: SseStream) => void;
  #stream: SseStream | null = null;

  constructor(res: Response, keepAliveMs: number, signal: AbortSignal) {
    this.#res = res;
    this.#keepAliveMs = keepAliveMs;
    this.#timer = setTimeout(() => this.begin(null), keepAliveMs);
    this.stream = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      const giveUp = () => {
        clearTimeout(this.#timer);
        reject(signal.reason as Error);
      };
      if (signal.aborted) giveUp();
      else signal.addEventListener("abort", giveUp, { once: true });
    });
    // Nobody may be waiting.
    this.stream.catch(() => undefined);
  }

  /** Null while the headers have not been sent. */
  get begun(): SseStream | null {
    return this.#stream;
  }

  /** Sends the headers, if they have not been. */
  begin(route: RoutedEvent | null): void {
    if (this.#stream !== null) return;
    clearTimeout(this.#timer);
    if (route !== null) setRouteHeaders(this.#res, route);
    this.#stream = new SseStream(this.#res, this.#keepAliveMs);
    this.#resolve(this.#stream);
  }
}
