import type { ExecutionContext } from "ava";
import { type ClientOptions, WebSocket } from "ws";
import type { ServerEvent } from "../../server/websocket/messages.ts";

export interface TestSocket {
  readonly ws: WebSocket;
  /** A string goes as it is, an object as JSON. */
  readonly send: (message: unknown) => void;
  /** All events so far. */
  readonly events: ServerEvent[];
  /** The next event that was not taken yet. @throws when the connection closes before. */
  readonly next: () => Promise<ServerEvent>;
  /** Takes events until one is the end of the answer. */
  readonly untilEnd: (id: string) => Promise<ServerEvent[]>;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

/** A WebSocket to the server, open; cut off when the test ends. */
export async function openSocket(
  t: ExecutionContext,
  serverUrl: string,
  options: ClientOptions = {},
): Promise<TestSocket> {
  const ws = new WebSocket(`${serverUrl.replace("http", "ws")}/v1/ws`, options);
  t.teardown(() => ws.terminate());
  const events: ServerEvent[] = [];
  let numTaken = 0;
  let isClosed = false;
  let wake = (): void => undefined;
  ws.on("message", (data: Buffer) => {
    events.push(JSON.parse(data.toString()) as ServerEvent);
    wake();
  });
  ws.on("error", () => undefined);
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.on("close", (code, reason) => {
      isClosed = true;
      wake();
      resolve({ code, reason: reason.toString() });
    });
  });
  await new Promise<void>((resolve, reject) => ws.once("open", resolve).once("error", reject));
  const next = async (): Promise<ServerEvent> => {
    while (numTaken === events.length) {
      if (isClosed) throw new Error("The connection was closed before the next event.");
      await new Promise<void>((resolve) => (wake = resolve));
    }
    return events[numTaken++]!;
  };
  return {
    ws,
    events,
    closed,
    next,
    send: (message) => ws.send(typeof message === "string" ? message : JSON.stringify(message)),
    untilEnd: async (id) => {
      const taken: ServerEvent[] = [];
      for (;;) {
        const event = await next();
        taken.push(event);
        if (!("id" in event) || event.id !== id) continue;
        if (event.type === "done" || event.type === "error") return taken;
      }
    },
  };
}
