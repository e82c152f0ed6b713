import test, { type ExecutionContext } from "ava";
import { WebSocket } from "ws";
import type * as wire from "../../client/messages.ts";
import {
  type AnswerEvent,
  type ConnectOptions,
  SeapClient,
  SeapConnectionError,
  SeapServerError,
} from "../../client/client.ts";
import type { ClientMessage, ServerEvent } from "../../server/websocket/messages.ts";
import { FakeEngine, Gate } from "../helpers/fake-engine.ts";
import { startServer } from "../helpers/start-server.ts";

const messages = [{ role: "user" as const, content: "Hi" }];

async function connect(t: ExecutionContext, url: string, options: ConnectOptions = {}) {
  const socketUrl = `${url.replace("http", "ws")}/v1/ws`;
  const client = await SeapClient.connect(socketUrl, { WebSocket, ...options });
  t.teardown(() => client.close());
  return client;
}

test("text comes piece by piece", async (t) => {
  const { url } = await startServer(t);
  const client = await connect(t, url);
  const pieces: string[] = [];
  for await (const text of client.chat({ messages }).text()) pieces.push(text);
  t.deepEqual(pieces, ["Hello", " world"]);
});

test("a whole answer has its text, route, usage and finish reason", async (t) => {
  const { url } = await startServer(t, { tasks: ["math"] });
  const client = await connect(t, url);
  const answer = await client.complete({ model: "fake:math", prompt: "One" }).whole();
  t.like(answer, {
    text: "Hello world",
    finishReason: "stop",
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    route: { task: "math", reason: "override" },
  });
});

test("many answers of one connection come side by side", async (t) => {
  const engine = new FakeEngine();
  engine.script = ({ promptTokenIds }) => ({ steps: ["a", `${promptTokenIds.length}`] });
  const { url } = await startServer(t, { engine });
  const client = await connect(t, url);
  const answers = Array.from({ length: 40 }, (_, i) =>
    client.complete({ prompt: "x".repeat(i + 1) }).whole(),
  );
  const texts = (await Promise.all(answers)).map(({ text }) => text);
  t.deepEqual(
    texts,
    texts.map((_, i) => `a${i + 1}`),
  );
});

test("what the server refuses is thrown with its code, status and field", async (t) => {
  const { url } = await startServer(t);
  const client = await connect(t, url);
  const error = await t.throwsAsync(client.chat({ messages, n: 0 }).whole(), {
    instanceOf: SeapServerError,
  });
  t.like(error, { status: 400, code: "invalid_request", param: "n" });
  t.is((await client.chat({ messages }).whole()).text, "Hello world");
});

test("leaving the iteration, or cancelling, ends the answer on the server", async (t) => {
  const engine = new FakeEngine();
  const gate = new Gate();
  engine.script = () => ({ steps: ["first", { hold: gate }] });
  const { url } = await startServer(t, { engine });
  const client = await connect(t, url);
  for await (const text of client.chat({ messages }).text()) {
    t.is(text, "first");
    break;
  }
  await engine.until(() => engine.cancelledIds.length === 1);
  const answer = client.chat({ messages });
  const whole = answer.whole();
  answer.cancel();
  const error = await t.throwsAsync(whole, { instanceOf: SeapServerError });
  t.is(error?.code, "cancelled");
});

test("the key is shown before anything else, and a wrong one is told", async (t) => {
  const { url } = await startServer(t, { security: { apiKey: ["key"] } });
  const client = await connect(t, url, { apiKey: "key" });
  t.is((await client.chat({ messages }).whole()).text, "Hello world");
  const error = await t.throwsAsync(connect(t, url, { apiKey: "wrong" }), {
    instanceOf: SeapServerError,
  });
  t.is(error?.code, "invalid_api_key");
});

test("an answer whose connection is lost is an error, and so is asking later", async (t) => {
  const engine = new FakeEngine();
  engine.script = () => ({ steps: [{ hold: new Gate() }] });
  const { url } = await startServer(t, { engine });
  const client = await connect(t, url);
  const lost = client.chat({ messages }).whole();
  await engine.until(() => engine.requests.length === 1);
  client.close();
  await t.throwsAsync(lost, { instanceOf: SeapConnectionError, message: /code 1000/ });
  const late = client.chat({ messages }).whole();
  await t.throwsAsync(late, { instanceOf: SeapConnectionError });
});

test("a server that is not there, and a runtime without WebSocket, are told", async (t) => {
  const { url, server } = await startServer(t);
  await new Promise((resolve) => server.close(resolve));
  await t.throwsAsync(connect(t, url), { instanceOf: SeapConnectionError });
  if ("WebSocket" in globalThis) return;
  await t.throwsAsync(SeapClient.connect("ws://127.0.0.1:1"), { message: /package ws/ });
});

test("iterating gives the events as they are on the wire", async (t) => {
  const { url } = await startServer(t);
  const client = await connect(t, url);
  const events: AnswerEvent[] = [];
  for await (const event of client.complete({ prompt: "x", n: 2 })) events.push(event);
  t.is(events[0]?.type, "start");
  t.is(events.at(-1)?.type, "done");
  const indexes = events.flatMap((event) =>
    event.type === "delta" ? event.choices.map(({ index }) => index) : [],
  );
  t.deepEqual([...new Set(indexes)].sort(), [0, 1]);
});

test("client and server mean the same messages", (t) => {
  // Compiles only while they do.
  const toServer = (message: wire.ClientMessage) => message as ClientMessage satisfies object;
  const types: Record<ServerEvent["type"], true> = {
    authenticated: true,
    pong: true,
    start: true,
    delta: true,
    done: true,
    error: true,
  };
  const clientTypes: Record<wire.ServerEvent["type"], true> = types;
  const route: wire.Route = {} as NonNullable<Extract<ServerEvent, { type: "start" }>["seap"]>;
  t.is(typeof toServer, "function");
  t.is(Object.keys(clientTypes).length, 6);
  t.truthy(route);
});
