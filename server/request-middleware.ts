import { randomUUID } from "node:crypto";
import type { RequestHandler } from "express";
import { MethodNotAllowedError, UnsupportedMediaTypeError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Endpoint, Metrics } from "./metrics.ts";
import type { ModelService } from "./model-service.ts";

/** Echoes the client's `x-request-id`, or makes one, so that a report can be matched with the log. */
export const requestId: RequestHandler = (req, res, next) => {
  const given = req.get("x-request-id");
  const isUsable = given !== undefined && /^[\x21-\x7e]{1,200}$/.test(given);
  res.set("x-request-id", isUsable ? given : randomUUID());
  next();
};

/** Counts and logs every response when it ends; 499 stands for a client that left before. */
export function observeRequest(metrics: Metrics, log: Log): RequestHandler {
  return (req, res, next) => {
    const startedMs = performance.now();
    res.once("close", () => {
      const { endpoint = "other" } = res.locals as { endpoint?: Endpoint };
      const status = res.writableFinished ? res.statusCode : 499;
      metrics.countHttp(endpoint, status);
      log.debug("request", {
        method: req.method,
        endpoint,
        status,
        durationMs: Math.round(performance.now() - startedMs),
        id: res.get("x-request-id"),
      });
    });
    next();
  };
}

/** Names the endpoint for `observeRequest`. */
export function labelled(endpoint: Endpoint): RequestHandler {
  return (_req, res, next) => {
    res.locals["endpoint"] = endpoint;
    next();
  };
}

/** Refuses before the body is read. */
export function whileReady(service: ModelService): RequestHandler {
  return (_req, _res, next) => {
    service.ready();
    next();
  };
}

export const onlyJson: RequestHandler = (req, _res, next) => {
  const type = req.get("content-type");
  if (type === undefined || !/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    const came = type === undefined ? "none" : JSON.stringify(type.slice(0, 100));
    throw new UnsupportedMediaTypeError(`Content-Type must be application/json, got ${came}.`);
  }
  next();
};

export function allowOnly(...methods: string[]): RequestHandler {
  return (req) => {
    throw new MethodNotAllowedError(req.method, req.path, methods);
  };
}
