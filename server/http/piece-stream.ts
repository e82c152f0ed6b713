import type { ErrorResponse } from "./error-response.ts";

/** What takes the pieces of one answer. After `end` or `fail`, and once the client has left, calls do nothing. */
export interface PieceStream {
  /** @returns a promise only when the client reads too slowly: await it before the next piece. */
  send(piece: object): Promise<void> | undefined;
  end(): void;
  fail(response: ErrorResponse): void;
}
