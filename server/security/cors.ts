import type { RequestHandler } from "express";

/** What a page may read of an answer besides its body. */
const exposedHeaders = [
  "Retry-After",
  "x-request-id",
  "traceparent",
  "x-seap-task",
  "x-seap-expert",
  "x-seap-confidence",
  "x-seap-reason",
  "x-ratelimit-limit-requests",
  "x-ratelimit-remaining-requests",
  "x-ratelimit-reset-requests",
].join(", ");

/** How long a browser may remember a preflight. */
const maxAgeSeconds = "600";

/** Origins of web pages that may use the server; `*` stands for all. */
export class AllowedOrigins {
  readonly #origins: ReadonlySet<string>;

  constructor(origins: readonly string[]) {
    this.#origins = new Set(origins);
  }

  get isEmpty(): boolean {
    return this.#origins.size === 0;
  }

  has(origin: string): boolean {
    return this.#origins.has("*") || this.#origins.has(origin);
  }

  /** Whether a page may open a WebSocket, which browsers let every page do: the server's own and allowed ones. */
  mayConnect(origin: string | undefined, host: string | undefined): boolean {
    // Only browsers send the header, and those always.
    if (origin === undefined || this.has(origin)) return true;
    return URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
  }
}

/** Answers preflights and marks answers for pages of allowed origins. Where none is allowed it does nothing. */
export function cors(allowed: AllowedOrigins): RequestHandler {
  return (req, res, next) => {
    if (allowed.isEmpty) {
      next();
      return;
    }
    res.vary("Origin");
    const origin = req.get("origin");
    if (origin === undefined || !allowed.has(origin)) {
      next();
      return;
    }
    res.set({
      "Access-Control-Allow-Origin": origin,
      "Access-Control-Expose-Headers": exposedHeaders,
    });
    const isPreflight =
      req.method === "OPTIONS" && req.get("access-control-request-method") !== undefined;
    if (!isPreflight) {
      next();
      return;
    }
    const headers = req.get("access-control-request-headers");
    res.set({
      "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
      "Access-Control-Max-Age": maxAgeSeconds,
      // The official clients send several of their own.
      ...(headers !== undefined && { "Access-Control-Allow-Headers": headers }),
    });
    res.vary("Access-Control-Request-Headers").status(204).end();
  };
}
