import type { IncomingHttpHeaders } from "node:http";
import type { RequestHandler } from "express";
import { OriginNotAllowedError, UnguardedCommandError } from "../base/access-errors.ts";

/** What a page may read of an answer besides its body. */
const exposedHeaders = [
  "Retry-After",
  "x-request-id",
  "traceparent",
  "x-seap-task",
  "x-seap-expert",
  "x-seap-confidence",
  "x-seap-reason",
  "x-seap-ignored-tools",
  "x-seap-unenforced",
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

  /**
   * Whether a request may change something or open a WebSocket, which browsers let every page do: that of a program,
   * of the server's own pages and of allowed ones.
   */
  mayChange(headers: IncomingHttpHeaders): boolean {
    const { origin, host } = headers;
    if (origin !== undefined && this.has(origin)) return true;
    // Browsers send it to what they trust, and no page can change it; behind a proxy the host may be another.
    const site = headers["sec-fetch-site"];
    if (site !== undefined) return site === "same-origin" || site === "none";
    // Only browsers send the origin, and those always.
    if (origin === undefined) return true;
    return URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
  }
}

const readingMethods = ["GET", "HEAD", "OPTIONS"];

/** Refuses what web pages of other sites send to change something; that they cannot read the answer is not enough. */
export function guardOrigin(allowed: AllowedOrigins): RequestHandler {
  return (req, _res, next) => {
    if (!readingMethods.includes(req.method) && !allowed.mayChange(req.headers)) {
      throw new OriginNotAllowedError();
    }
    next();
  };
}

/** For commands, whose body says nothing: a header for which browsers ask the server first. */
export const onlyDeliberate: RequestHandler = (req, _res, next) => {
  const isJson = req.get("content-type")?.startsWith("application/json") === true;
  const names = Object.keys(req.headers);
  if (!isJson && !names.some((name) => name === "authorization" || name.startsWith("x-seap-"))) {
    throw new UnguardedCommandError();
  }
  next();
};

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
