/** Base of all expected failures. `code` is stable: it maps to an HTTP status and a metric label. */
export abstract class SeapError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A model file is missing, truncated, inconsistent or of an unsupported kind. */
export class ModelLoadError extends SeapError {
  readonly code = "model_load";
  readonly path: string;

  constructor(path: string, problem: string, options?: { cause?: unknown }) {
    super(`${path}: ${problem}`, options);
    this.path = path;
  }
}

/** A chat template refused the conversation, or produced nothing usable. */
export class ChatTemplateError extends SeapError {
  readonly code = "chat_template";
}

/** A text has more tokens than were asked for; all of them were not counted. */
export class TooManyTokensError extends SeapError {
  readonly code = "too_many_tokens";
  /** It has at least so many. */
  readonly numTokens: number;

  constructor(numTokens: number) {
    super(`The text has at least ${numTokens} tokens.`);
    this.numTokens = numTokens;
  }
}

/** A built artifact is damaged or of another release; it can be built again. */
export class ArtifactError extends SeapError {
  readonly code = "artifact";
  readonly path: string;

  constructor(path: string, problem: string, options?: { cause?: unknown }) {
    super(`${path}: ${problem}`, options);
    this.path = path;
  }
}
