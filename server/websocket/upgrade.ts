import { IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import type { RequestHandler } from "express";
import { WebSocketServer } from "ws";
import { reportError } from "../http/error-response.ts";
import { InvalidRequestError, MethodNotAllowedError, RouteNotFoundError } from "../base/errors.ts";
import type { Endpoint } from "../metrics/labels.ts";
import { sendRawResponse } from "../http/raw-response.ts";
import type { ClientId } from "../security/api-keys.ts";
import { HostNotAllowedError, OriginNotAllowedError } from "../base/access-errors.ts";
import type { ConnectionOptions } from "./connection.ts";
import { UpgradeRequiredError } from "./errors.ts";
import { WebSocketHub } from "./hub.ts";

export const webSocketPath = "/v1/ws";

/** How long a client may take to answer the closing. */
const closeTimeoutMs = 5000;

const isUpgrade = Symbol("isUpgrade");

/**
 * For `createServer`: once there is a listener for upgrades Node hands it every request that offers one, and Java's
 * HTTP client offers HTTP/2 with each. Such offers may be left alone, and here they are.
 */
export class WebSocketAwareRequest extends IncomingMessage {
  [isUpgrade]?: boolean | null;

  get upgrade(): boolean {
    return this[isUpgrade] === true && /^websocket$/i.test(this.headers.upgrade ?? "");
  }

  set upgrade(value: boolean | null) {
    this[isUpgrade] = value;
  }
}

/** Takes WebSocket connections at `webSocketPath`, and answers other wishes to upgrade with an error. */
export function acceptWebSockets(server: Server, options: ConnectionOptions): WebSocketHub {
  const { metrics, log, limits } = options;
  const hub = new WebSocketHub(options);
  const settings = {
    noServer: true,
    clientTracking: false,
    maxPayload: limits.maxMessageBytes,
    closeTimeout: closeTimeoutMs,
  };
  const wss = new WebSocketServer(settings);
  const refuse = (socket: Duplex, error: unknown, endpoint: Endpoint) => {
    const response = reportError(error, log, metrics);
    metrics.countHttp(endpoint, response.status);
    sendRawResponse(socket, response);
  };

  wss.on("wsClientError", (error, socket) => {
    refuse(
      socket,
      new InvalidRequestError(`Bad WebSocket handshake: ${error.message}.`),
      "websocket",
    );
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    let client: ClientId | null;
    try {
      client = admitUpgrade(request, options);
    } catch (error) {
      refuse(socket, error, error instanceof RouteNotFoundError ? "other" : "websocket");
      return;
    }
    wss.handleUpgrade(request, socket, head, (ws) => {
      metrics.countHttp("websocket", 101);
      hub.add(ws, request, client);
    });
  });
  return hub;
}

/** GET of the path without an upgrade. */
export const upgradeRequired: RequestHandler = () => {
  throw new UpgradeRequiredError();
};

/**
 * @returns null where a key is needed and may still come in a message
 * @throws what the client must be told.
 */
function admitUpgrade(request: IncomingMessage, options: ConnectionOptions): ClientId | null {
  const { service, security } = options;
  const { method = "", url = "", headers, socket } = request;
  const path = url.split("?", 1)[0] ?? "";
  if (path !== webSocketPath) throw new RouteNotFoundError(method, path);
  if (method !== "GET") throw new MethodNotAllowedError(method, path, ["GET"]);
  if (!security.hosts.has(headers.host)) throw new HostNotAllowedError(headers.host ?? "");
  if (!security.origins.mayChange(headers)) throw new OriginNotAllowedError();
  service.ready();
  const { authorization } = headers;
  if (authorization === undefined && security.keys.areRequired) return null;
  return security.keys.clientOf(authorization, socket.remoteAddress);
}
