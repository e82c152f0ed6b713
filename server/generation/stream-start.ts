import type { Response } from "express";
import type { RoutedEvent } from "../../engine/contract/request.ts";
import type { PieceStream } from "../http/piece-stream.ts";
import { setRouteHeaders } from "../routing/route-wire.ts";
import { SseStream } from "../http/sse.ts";

export interface StreamStartOptions {
  /** Called once; the route is null where it takes longer than the client may be left in silence. */
  readonly open: (route: RoutedEvent | null) => PieceStream;
  /** How long the client may be left in silence; null is for ever. */
  readonly silenceMs: number | null;
  readonly signal: AbortSignal;
}

/** When a stream begins: with the route, or after some silence without. */
export class StreamStart {
  /** Settles when the stream has begun; rejects with the signal's reason where it never will. */
  readonly stream: Promise<PieceStream>;
  readonly #open: StreamStartOptions["open"];
  readonly #timer: NodeJS.Timeout | undefined;
  #resolve!: (stream: PieceStream) => void;
  #stream: PieceStream | null = null;

  constructor({ open, silenceMs, signal }: StreamStartOptions) {
    this.#open = open;
    if (silenceMs !== null) this.#timer = setTimeout(() => this.begin(null), silenceMs);
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

  /** Null while the stream has not begun. */
  get begun(): PieceStream | null {
    return this.#stream;
  }

  /** Begins the stream, if it has not. */
  begin(route: RoutedEvent | null): void {
    if (this.#stream !== null) return;
    clearTimeout(this.#timer);
    this.#stream = this.#open(route);
    this.#resolve(this.#stream);
  }
}

/** Server-sent events. Their headers tell the route, so they wait for it, but not longer than `keepAliveMs`. */
export function httpStreamStart(
  res: Response,
  keepAliveMs: number,
  signal: AbortSignal,
): StreamStart {
  const open = (route: RoutedEvent | null) => {
    if (route !== null) setRouteHeaders(res, route);
    return new SseStream(res, keepAliveMs);
  };
  return new StreamStart({ open, silenceMs: keepAliveMs, signal });
}
