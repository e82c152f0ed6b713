import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { ErrorResponse } from "./error-response.ts";

/** Answers on a connection that has no response object, and closes it. */
export function sendRawResponse(socket: Duplex, { status, headers, body }: ErrorResponse): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const text = JSON.stringify(body);
  const lines = Object.entries({
    ...headers,
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": String(Buffer.byteLength(text)),
    Connection: "close",
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n`;
  socket.once("finish", () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.end(head + text);
}
