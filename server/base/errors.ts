import { SeapError, TooManyTokensError } from "../../model/errors.ts";
import { TaskLimitError } from "./task-limit-error.ts";

/** The client's request cannot be served as it is; sending it again will not help. */
export abstract class RequestError extends SeapError {
  /** Path of the offending field as the client wrote it, for instance `messages[0].content`. */
  readonly param: string | null;

  constructor(message: string, param: string | null = null) {
    super(message);
    this.param = param;
  }
}

/** The body is not JSON. */
export class InvalidJsonError extends RequestError {
  readonly code = "invalid_json";
}

/** A field is missing, of the wrong type or out of range. */
export class InvalidRequestError extends RequestError {
  readonly code = "invalid_request";
}

/** The field would change the answer, and this server does not implement it. */
export class UnsupportedParameterError extends RequestError {
  readonly code = "unsupported_parameter";

  constructor(param: string, supported: string) {
    super(`${param} is not supported by this server: ${supported}`, param);
  }
}

interface ContextLengths {
  readonly promptTokens: number;
  /** False where the prompt has more tokens than these, and nobody counted how many. @default true */
  readonly isCounted?: boolean;
  /** That the answer may take. @default 0 */
  readonly maxTokens?: number;
  readonly contextLength: number;
}

/** Prompt and answer do not fit into the context together. Clients take the message apart by OpenAI's words. */
export class ContextLengthError extends RequestError {
  readonly code = "context_length_exceeded";

  constructor(
    param: string,
    { promptTokens, isCounted = true, maxTokens = 0, contextLength }: ContextLengths,
  ) {
    const least = isCounted ? "" : "at least ";
    super(
      `This model's maximum context length is ${contextLength} tokens. However, you requested ` +
        `${least}${promptTokens + maxTokens} tokens (${least}${promptTokens} in the prompt, at least ${maxTokens} in the ` +
        `completion). Please reduce the length of the prompt, or the limit of the completion.`,
      param,
    );
  }
}

/**
 * Reads what a field says.
 * @param read - in the background
 * @throws InvalidRequestError naming the field where it takes too long
 */
export async function withinTime<T>(field: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof TaskLimitError)) throw error;
    throw new InvalidRequestError(`${field}: takes too long to read. ${error.message}`, field);
  }
}

/**
 * Encodes a prompt.
 * @param encode - gives up beyond `countedTokens`
 * @throws ContextLengthError instead, or InvalidRequestError where it takes too long, naming the field
 */
export async function withinContext<T>(
  field: string,
  contextLength: number,
  encode: () => Promise<T>,
): Promise<T> {
  try {
    return await withinTime(field, encode);
  } catch (error) {
    if (!(error instanceof TooManyTokensError)) throw error;
    const { numTokens: promptTokens } = error;
    throw new ContextLengthError(field, { promptTokens, isCounted: false, contextLength });
  }
}

export class ModelNotFoundError extends RequestError {
  readonly code = "model_not_found";

  constructor(model: string, served: readonly string[]) {
    super(`The model ${quote(model)} is not served here. Served: ${served.join(", ")}.`, "model");
  }
}

export class ExpertNotFoundError extends RequestError {
  readonly code = "expert_not_found";

  /** @param known - none where experts are off */
  constructor(name: string, known: readonly string[]) {
    const there = known.length === 0 ? "Experts are off" : `There are: ${known.join(", ")}`;
    super(`There is no expert ${quote(name)}. ${there}.`);
  }
}

/** It was never built, or its artifact is no longer there. */
export class ExpertPlanNotFoundError extends RequestError {
  readonly code = "expert_plan_not_found";

  constructor(name: string) {
    super(`The expert ${quote(name)} has no plan: there is no artifact of it.`);
  }
}

/** Never stored, deleted, or forgotten for newer ones. */
export class ResponseNotFoundError extends RequestError {
  readonly code = "response_not_found";

  constructor(id: string, param: string | null) {
    super(`There is no response ${quote(id)} here: it was not stored, or is no longer.`, param);
  }
}

/** Of no response that is stored. */
export class ItemNotFoundError extends RequestError {
  readonly code = "item_not_found";

  constructor(id: string, param: string) {
    super(
      `${param}: there is no item ${quote(id)} here: it was not stored, or is no longer.`,
      param,
    );
  }
}

export class RouteNotFoundError extends RequestError {
  readonly code = "not_found";

  constructor(method: string, path: string) {
    super(`There is no ${method} ${path.slice(0, 200)} here.`);
  }
}

export class MethodNotAllowedError extends RequestError {
  readonly code = "method_not_allowed";
  readonly allowed: readonly string[];

  constructor(method: string, path: string, allowed: readonly string[]) {
    super(`${path} does not accept ${method}; use ${allowed.join(" or ")}.`);
    this.allowed = allowed;
  }
}

export class RequestTooLargeError extends RequestError {
  readonly code = "request_too_large";

  constructor(limitBytes: number) {
    super(`The request body is larger than the limit of ${limitBytes} bytes.`);
  }
}

export class UnsupportedMediaTypeError extends RequestError {
  readonly code = "unsupported_media_type";
}

export class CharsetError extends UnsupportedMediaTypeError {
  constructor() {
    super("The request body must be UTF-8.");
  }
}

/** The model is not in memory yet. */
export class ModelLoadingError extends SeapError {
  readonly code = "model_loading";
  readonly retryAfterSeconds = 2;

  /** @param progress what is being done, for a person; empty where nobody has told */
  constructor(progress: string) {
    super(
      `The model is still loading${progress === "" ? "" : ` (${progress})`}. Retry in a few seconds.`,
    );
  }
}

/** The server is shutting down: it takes no new requests, and cancels those that outlast the drain. */
export class ServerStoppingError extends SeapError {
  readonly code = "server_stopping";
  readonly retryAfterSeconds = 5;

  constructor() {
    super("The server is shutting down. Retry: another instance may answer.");
  }
}

/** The address cannot be listened on. */
export class ListenError extends SeapError {
  readonly code = "listen";

  constructor(host: string, port: number, cause: Error) {
    super(`Cannot listen on ${host} port ${port}: ${cause.message}`, { cause });
  }
}

/** A client's text in an error message: quoted, and cut so that it cannot flood a log. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
