import { SeapError } from "../../model/errors.ts";

/** The waiting queue is full. */
export class OverloadedError extends SeapError {
  readonly code = "overloaded";
  /** When to try again, in whole seconds, at least 1. */
  readonly retryAfterSeconds: number;

  constructor(waitingRequests: number, retryAfterSeconds: number) {
    super(
      `The server is at capacity: ${waitingRequests} requests are waiting already. Retry later.`,
    );
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** A request would have to wait for its expert, and too many do already. */
export class TooManyParkedError extends SeapError {
  readonly code = "parking_full";
  readonly retryAfterSeconds = 5;
}

/** The caller gave up: the request was taken out of the queue or the batch. */
export class CancelledError extends SeapError {
  readonly code = "cancelled";

  constructor(requestId: string) {
    super(`Request ${requestId} was cancelled.`);
  }
}

/** A forward pass failed; the requests that were part of it are lost. */
export class InferenceError extends SeapError {
  readonly code: "inference" | "no_token_left" = "inference";
}

/** What the request allows and bans contradict each other here. */
export class NoTokenLeftError extends InferenceError {
  override readonly code = "no_token_left";

  constructor() {
    super(
      "No token may come next: what the answer's grammar, allowed_token_ids and bad_words leave has nothing in common.",
    );
  }
}

/** A router's file cannot be used with the model. */
export class RouterLoadError extends SeapError {
  readonly code = "router_load";
}

/** An expert could not be built. */
export class ExpertBuildError extends SeapError {
  readonly code = "expert_build";
}

/** There is no such expert, or what was asked of it cannot be done now. */
export class ExpertCommandError extends SeapError {
  readonly code = "expert_command";
}

/** The engine was closed, or its worker ended. */
export class EngineStoppedError extends SeapError {
  readonly code = "engine_stopped";
  readonly retryAfterSeconds = 2;
}

/** The engine's thread does not answer any more. It cannot be ended as long as the process lives. */
export class EngineHungError extends EngineStoppedError {}

/** The engine has failed, and another one is not there yet. */
export class EngineRestartingError extends SeapError {
  readonly code = "engine_restarting";
  readonly retryAfterSeconds = 2;

  constructor() {
    super("The engine has failed and is being started anew. Retry in a few seconds.");
  }
}

/** A text is no grammar, or none that can be enforced. */
export class GrammarError extends SeapError {
  readonly code = "grammar";
}
