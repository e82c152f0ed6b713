import { randomUUID } from "node:crypto";
import type { RequestHandler } from "express";
import { MethodNotAllowedError, UnsupportedMediaTypeError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Endpoint } from "../metrics/labels.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { RequestRecord } from "./request-record.ts";
import { formatTraceparent, parseTraceparent } from "../tracing/trace-context.ts";
import type { Tracer } from "../tracing/tracer.ts";

/** The client's `x-request-id`, or a new one, so that a report can be matched with the log. */
export function requestIdOf(given: string | undefined): string {
  const isUsable = given !== undefined && /^[\x21-\x7e]{1,200}$/.test(given);
  return isUsable ? given : randomUUID();
}

export interface ObserveOptions {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly tracer: Tracer;
}

/**
 * Counts, logs and traces every response when it ends; 499 stands for a client that left before. The response has the
 * request's id and, where it has a place in a trace, that too.
 */
export function observeRequest({ metrics, log, tracer }: ObserveOptions): RequestHandler {
  return (req, res, next) => {
    const { method } = req;
    const requestId = requestIdOf(req.get("x-request-id"));
    const parent = parseTraceparent(req.get("traceparent"));
    const record = new RequestRecord({ requestId, method, parent, log, tracer });
    res.locals["record"] = record;
    res.set("x-request-id", requestId);
    if (record.context !== null) res.set("traceparent", formatTraceparent(record.context));
    res.once("close", () => {
      const { endpoint = "other" } = res.locals as { endpoint?: Endpoint };
      const status = res.writableFinished ? res.statusCode : 499;
      metrics.countHttp(endpoint, status);
      const { path: route = endpoint } = (req.route ?? {}) as { path?: string };
      record.end({ endpoint, route, status });
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

/** Refuses before the body is read. @param service throws where it takes no requests */
export function whileReady(service: { ready(): unknown }): RequestHandler {
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
