import type { Response } from "express";
import type { ErrorResponse } from "./error-response.ts";
import type { PieceStream } from "./piece-stream.ts";

/** How pieces become events. */
export interface SseSpelling {
  piece(piece: object): string;
  /** Last, where nothing fails. */
  readonly end: string;
  failure(error: ErrorResponse): string;
}

const plainSpelling: SseSpelling = {
  piece: (piece) => `data: ${JSON.stringify(piece)}\n\n`,
  end: "data: [DONE]\n\n",
  failure: ({ body }) => `data: ${JSON.stringify(body)}\n\n`,
};

/**
 * A response as server-sent events. After `end` or `fail`, and once the client has left, calls do
 * nothing.
 */
export class SseStream implements PieceStream {
  readonly #res: Response;
  readonly #spelling: SseSpelling;
  readonly #keepAlive: NodeJS.Timeout;
  #draining: Promise<void> | undefined;

  /**
   * Sends the headers.
   * @param keepAliveMs - silence after which a comment line is sent, so that neither the client nor a
   *   proxy takes a long prefill for a dead connection
   */
  constructor(res: Response, keepAliveMs: number, spelling: SseSpelling = plainSpelling) {
    this.#res = res;
    this.#spelling = spelling;
    res.status(200).set({
      "Content-Type": "text/event-stream; charset=utf-8",
      "Cache-Control": "no-cache",
      // Stops nginx from collecting the stream before it passes it on.
      "X-Accel-Buffering": "no",
    });
    res.flushHeaders();
    this.#keepAlive = setInterval(() => {
      if (this.#draining === undefined) void this.#write(": keep-alive\n\n");
    }, keepAliveMs);
    res.once("close", () => clearInterval(this.#keepAlive));
  }

  /** @returns a promise only when the client reads too slowly: await it before the next event. */
  send(event: object): Promise<void> | undefined {
    this.#keepAlive.refresh();
    return this.#write(this.#spelling.piece(event));
  }

  end(): void {
    this.#finish(this.#spelling.end);
  }

  /** The status has been sent already, so the error is an event, and the last one. */
  fail(error: ErrorResponse): void {
    this.#finish(this.#spelling.failure(error));
  }

  #finish(text: string): void {
    clearInterval(this.#keepAlive);
    if (this.#isOpen()) this.#res.end(text);
  }

  #write(text: string): Promise<void> | undefined {
    if (!this.#isOpen() || this.#res.write(text)) return undefined;
    this.#draining ??= new Promise((resolve) => {
      const settle = () => {
        this.#res.off("drain", settle).off("close", settle);
        this.#draining = undefined;
        resolve();
      };
      this.#res.on("drain", settle).on("close", settle);
    });
    return this.#draining;
  }

  #isOpen(): boolean {
    return !this.#res.destroyed && !this.#res.writableEnded;
  }
}
