import type { RequestHandler } from "express";
import type { Admission } from "./admission.ts";
import type { ApiKeys, ClientId } from "./api-keys.ts";
import type { Quota } from "./rate-limit.ts";

/** Lets only those go on who bring a key, where keys are required; `admit` comes after it. */
export function authenticate(keys: ApiKeys): RequestHandler {
  return (req, res, next) => {
    res.locals["client"] = keys.clientOf(req.get("authorization"), req.socket.remoteAddress);
    next();
  };
}

/** Holds clients to their limits. What only reads the server's state is not counted. */
export function admit(admission: Admission): RequestHandler {
  return (req, res, next) => {
    if (req.method !== "POST") {
      next();
      return;
    }
    const { client } = res.locals as { client: ClientId };
    const end = admission.admit(client, (quota) => res.set(quotaHeaders(quota)));
    res.once("close", end);
    next();
  };
}

/** As the OpenAI API spells them. */
function quotaHeaders({ limit, remaining, resetMs }: Quota): Record<string, string> {
  return {
    "x-ratelimit-limit-requests": String(limit),
    "x-ratelimit-remaining-requests": String(remaining),
    "x-ratelimit-reset-requests": formatDuration(resetMs),
  };
}

/** `250ms`, `1s`, `6m0s`, `1h0m0s`. */
export function formatDuration(ms: number): string {
  if (ms > 0 && ms < 1000) return `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const head = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : "";
  return `${head}${seconds % 60}s`;
}

/**
 * For every answer. A page that the server sends may load what comes from the server itself, and nothing inline; no
 * site may put it into a frame.
 */
export const securityHeaders: RequestHandler = (_req, res, next) => {
  res.set({
    "Content-Security-Policy":
      "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; " +
      "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
  });
  next();
};
