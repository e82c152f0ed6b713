import type { SeapError } from "../../model/errors.ts";
import {
  CancelledError,
  GrammarError,
  InferenceError,
  NoTokenLeftError,
  TooManyParkedError,
} from "./errors.ts";

/** Why a request ended without an answer, as it comes from the worker. */
export interface RequestFailure {
  readonly code: string;
  /** May tell of the server's insides: what the client is told is for the server to say. */
  readonly message: string;
  /** Stacks of the error and its causes, for the log. */
  readonly stack: string;
}

export function toRequestFailure(error: SeapError): RequestFailure {
  const { code, message } = error;
  return { code, message, stack: stackOf(error) };
}

export function fromRequestFailure(id: string, failure: RequestFailure): SeapError {
  const { code, message, stack } = failure;
  switch (code) {
    case "cancelled":
      return new CancelledError(id);
    case "no_token_left":
      return new NoTokenLeftError();
    case "grammar":
      return new GrammarError(message);
    case "parking_full":
      return new TooManyParkedError(message);
    default:
      return Object.assign(new InferenceError(message), { stack });
  }
}

/** The stack of an error, and those of what caused it. */
export function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? String(error);
  return error.cause === undefined ? own : `${own}\ncaused by ${stackOf(error.cause)}`;
}

/** What a person is told of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
