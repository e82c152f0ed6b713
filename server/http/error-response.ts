import type { WireError } from "../../client/messages.ts";
import type { ErrorRequestHandler, Request, Response } from "express";
import {
  CancelledError,
  EngineStoppedError,
  OverloadedError,
  TooManyParkedError,
} from "../../engine/contract/errors.ts";
import { stackOf } from "../../engine/contract/request-failure.ts";
import { SeapError } from "../../model/errors.ts";
import {
  CharsetError,
  InvalidJsonError,
  InvalidRequestError,
  MethodNotAllowedError,
  RequestError,
  RequestTooLargeError,
  UnsupportedMediaTypeError,
} from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { recordOf } from "./request-record.ts";
import { RateLimitError } from "../base/access-errors.ts";

/**
 * HTTP status and OpenAI error type of each error code; the codes are also the metric label. Where there is a message it
 * is what clients are told: the error's own may tell of the server's insides, and is for the log.
 */
const errorTable: Readonly<
  Record<string, readonly [status: number, type: string, message?: string]>
> = {
  invalid_json: [400, "invalid_request_error"],
  invalid_request: [400, "invalid_request_error"],
  unsupported_parameter: [400, "invalid_request_error"],
  context_length_exceeded: [400, "invalid_request_error"],
  no_token_left: [400, "invalid_request_error"],
  grammar: [400, "invalid_request_error"],
  chat_template: [400, "invalid_request_error"],
  malformed_request: [400, "invalid_request_error"],
  invalid_api_key: [401, "invalid_request_error"],
  origin_not_allowed: [403, "invalid_request_error"],
  host_not_allowed: [403, "invalid_request_error"],
  model_not_found: [404, "invalid_request_error"],
  expert_not_found: [404, "invalid_request_error"],
  expert_plan_not_found: [404, "invalid_request_error"],
  response_not_found: [404, "invalid_request_error"],
  item_not_found: [404, "invalid_request_error"],
  not_found: [404, "invalid_request_error"],
  expert_command: [409, "invalid_request_error"],
  method_not_allowed: [405, "invalid_request_error"],
  request_timeout: [408, "invalid_request_error"],
  request_too_large: [413, "invalid_request_error"],
  unsupported_media_type: [415, "invalid_request_error"],
  upgrade_required: [426, "invalid_request_error"],
  rate_limit_exceeded: [429, "rate_limit_error"],
  overloaded: [429, "rate_limit_error"],
  parking_full: [429, "rate_limit_error"],
  headers_too_large: [431, "invalid_request_error"],
  cancelled: [499, "cancelled"],
  inference: [
    500,
    "server_error",
    "The model failed on this request. The failure has been logged.",
  ],
  internal: [500, "server_error"],
  model_loading: [503, "service_unavailable"],
  server_stopping: [503, "service_unavailable"],
  engine_restarting: [503, "service_unavailable"],
  engine_stopped: [
    503,
    "service_unavailable",
    "The engine failed while it had this request. Retry in a few seconds.",
  ],
};

/** HTTP status of each error code. */
export const errorStatuses: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(errorTable).map(([code, [status]]) => [code, status]),
);

export interface ErrorBody {
  readonly error: WireError;
}

export interface ErrorResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;
}

/** What the client is told; an error that nobody expected says nothing about the server's insides. */
function toErrorResponse(error: unknown): ErrorResponse {
  const known = error instanceof SeapError ? errorTable[error.code] : undefined;
  if (!(error instanceof SeapError) || known === undefined) {
    const message = "The server failed to answer. The failure has been logged.";
    return wireError(500, "server_error", "internal", message, null, {});
  }
  const headers: Record<string, string> = {};
  if (error.code === "invalid_api_key") headers["WWW-Authenticate"] = "Bearer";
  if (error.code === "upgrade_required") headers["Upgrade"] = "websocket";
  if ("retryAfterSeconds" in error) headers["Retry-After"] = String(error.retryAfterSeconds);
  if (error instanceof MethodNotAllowedError) headers["Allow"] = error.allowed.join(", ");
  const param = error instanceof RequestError ? error.param : null;
  const [status, type, message = error.message] = known;
  return wireError(status, type, error.code, message, param, headers);
}

/**
 * Logs what the operator must know, counts the error by code and gives what the client is told.
 */
export function reportError(error: unknown, log: Log, metrics: Metrics): ErrorResponse {
  const response = toErrorResponse(error);
  metrics.countError(response.body.error.code);
  if (error instanceof RateLimitError) metrics.countRejection(error.limit);
  if (error instanceof OverloadedError) metrics.countRejection("queue");
  if (error instanceof TooManyParkedError) metrics.countRejection("parked");
  if (response.status === 500 || error instanceof EngineStoppedError) {
    log.error("request failed", { error: stackOf(error) });
  }
  return response;
}

function sendErrorResponse(res: Response, { status, headers, body }: ErrorResponse): void {
  res.status(status).set(headers).json(body);
}

/** Last middleware: everything thrown before the response began becomes an error object. */
export function errorHandler(metrics: Metrics, bodyLimitBytes: number): ErrorRequestHandler {
  return (thrown: unknown, req, res, next) => {
    const error = fromHttpError(thrown, req, bodyLimitBytes);
    const response = reportError(error, recordOf(res).log, metrics);
    // Express then cuts the connection.
    if (res.headersSent) next(error);
    else sendErrorResponse(res, response);
  };
}

/** Express and body-parser throw `http-errors` objects, told apart by `type` and `status`. */
function fromHttpError(error: unknown, req: Request, limitBytes: number): unknown {
  if (!(error instanceof Error) || error instanceof SeapError) return error;
  const { type, status } = error as { type?: unknown; status?: unknown };
  switch (type) {
    case "request.aborted":
      return new CancelledError(req.get("x-request-id") ?? "without an id");
    case "entity.parse.failed":
      return new InvalidJsonError(`The request body is not valid JSON: ${error.message}`);
    case "entity.too.large":
      return new RequestTooLargeError(limitBytes);
    case "encoding.unsupported":
      return new UnsupportedMediaTypeError(
        `Content-Encoding ${req.get("content-encoding") ?? ""} is not supported; send gzip, deflate, br or identity.`,
      );
    case "charset.unsupported":
      return new CharsetError();
  }
  const isClientFault = typeof status === "number" && status >= 400 && status < 500;
  return isClientFault ? new InvalidRequestError(`Bad request: ${error.message}`) : error;
}

function wireError(
  status: number,
  type: string,
  code: string,
  message: string,
  param: string | null,
  headers: Readonly<Record<string, string>>,
): ErrorResponse {
  return { status, headers, body: { error: { message, type, param, code } } };
}
