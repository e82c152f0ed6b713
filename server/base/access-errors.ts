import { SeapError } from "../../model/errors.ts";
import { quote } from "./errors.ts";

/** The request brings no key, or one that is not known, in OpenAI's words. The key itself is never repeated. */
export class InvalidApiKeyError extends SeapError {
  readonly code = "invalid_api_key";

  constructor(isMissing: boolean) {
    const came = isMissing
      ? "This server needs an API key, and none came."
      : "Incorrect API key provided: it is not one of this server's.";
    super(`${came} Send it in the header Authorization: Bearer <key>.`);
  }
}

/** The client sends more than it may, or more at the same time. Clients know the message by OpenAI's words. */
export class RateLimitError extends SeapError {
  readonly code = "rate_limit_exceeded";
  /** Whole seconds after which another attempt makes sense. */
  readonly retryAfterSeconds: number;
  readonly limit: "rate" | "concurrency";

  /**
   * @param reached what there is too much of, and the limit
   * @param limit that was reached
   */
  constructor(reached: string, retryAfterSeconds: number, limit: "rate" | "concurrency") {
    super(`Rate limit reached for ${reached}. Please try again in ${retryAfterSeconds}s.`);
    this.retryAfterSeconds = retryAfterSeconds;
    this.limit = limit;
  }
}

/** A web page of another site tries to use the server. */
export class OriginNotAllowedError extends SeapError {
  readonly code = "origin_not_allowed";

  constructor() {
    super(
      "Web pages of this origin may not use the server. The operator can allow it with --cors-origins.",
    );
  }
}

/** The request names another server, as it does when a web page of another site has had its name point here. */
export class HostNotAllowedError extends SeapError {
  readonly code = "host_not_allowed";

  constructor(host: string) {
    super(
      `This server does not answer as ${quote(host)}. The operator can allow the name with --allowed-hosts.`,
    );
  }
}

/** A command has no body, and its request is one that web pages of all sites can send without being asked. */
export class UnguardedCommandError extends SeapError {
  readonly code = "unsupported_media_type";

  constructor() {
    super(
      "A command needs Content-Type: application/json, a header Authorization or one that begins with x-seap-, " +
        "so that no web page can send it unasked.",
    );
  }
}

/** The request did not arrive in time. */
export class RequestTimeoutError extends SeapError {
  readonly code = "request_timeout";

  constructor() {
    super("The request took too long to arrive.");
  }
}

export class HeadersTooLargeError extends SeapError {
  readonly code = "headers_too_large";

  constructor() {
    super("The request's headers are larger than this server takes.");
  }
}

/** What came is not HTTP. */
export class MalformedRequestError extends SeapError {
  readonly code = "malformed_request";

  constructor() {
    super("The request is not valid HTTP.");
  }
}
