import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { reportError } from "../http/error-response.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { sendRawResponse } from "../http/raw-response.ts";
import {
  HeadersTooLargeError,
  MalformedRequestError,
  RequestTimeoutError,
} from "../base/access-errors.ts";

export interface HttpConnectionOptions {
  /** How long a client may leave its answer unread. */
  readonly slowClientMs: number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Answers what is no HTTP request, or does not arrive in time, with an error object; and cuts off clients that do not
 * read their answers, which would hold their place in the batch for ever.
 */
export function guardConnections(server: Server, options: HttpConnectionOptions): void {
  const { slowClientMs, log, metrics } = options;
  const responses = new WeakMap<Socket, ServerResponse>();
  server.on("request", (req: IncomingMessage, res: ServerResponse) => {
    responses.set(req.socket, res);
    res.once("close", () => {
      if (responses.get(req.socket) === res) responses.delete(req.socket);
    });
  });

  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const hasBegun = responses.get(socket)?.headersSent === true;
    if (error.code === "ECONNRESET" || hasBegun) {
      socket.destroy();
      return;
    }
    const response = reportError(fromParserError(error.code), log, metrics);
    metrics.countHttp("other", response.status);
    sendRawResponse(socket, response);
  });

  // Nothing was read or written for this long. The keep-alive time-out of Node arrives here as well.
  server.setTimeout(slowClientMs, (socket: Socket) => {
    const isWaitingForUs = responses.has(socket) && socket.writableLength === 0;
    if (!isWaitingForUs) socket.destroy();
  });
}

function fromParserError(code: string | undefined) {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new RequestTimeoutError();
  if (code === "HPE_HEADER_OVERFLOW") return new HeadersTooLargeError();
  return new MalformedRequestError();
}
