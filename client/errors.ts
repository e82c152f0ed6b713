import type { ErrorEvent } from "./messages.ts";

/** The server refused or ended something; `code` says why, as over HTTP. */
export class SeapServerError extends Error {
  override readonly name = "SeapServerError";
  /** The HTTP status that the error would have. */
  readonly status: number;
  readonly code: string;
  readonly type: string;
  readonly param: string | null;
  /** After which another attempt makes sense, where the server says so. */
  readonly retryAfterSeconds: number | undefined;

  constructor({ status, error, retry_after }: ErrorEvent) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.type = error.type;
    this.param = error.param;
    this.retryAfterSeconds = retry_after;
  }
}

/** The connection could not be opened, or was closed before the answer was complete. */
export class SeapConnectionError extends Error {
  override readonly name = "SeapConnectionError";
  /** Close code of the WebSocket; undefined where it never opened. */
  readonly closeCode: number | undefined;

  constructor(message: string, closeCode?: number) {
    super(message);
    this.closeCode = closeCode;
  }
}
