import test from "ava";
import { InferenceError } from "../../../engine/contract/errors.ts";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { openSocket } from "../../helpers/open-socket.ts";
import { readEvents, startServer } from "../../helpers/start-server.ts";
import type { ServerEvent } from "../../../server/websocket/messages.ts";

const messages = [{ role: "user", content: "Hi" }];
const chat = (id: string, more: object = {}) => ({ type: "chat", id, body: { messages, ...more } });

function textOf(events: readonly ServerEvent[], id: string, index = 0): string {
  return events
    .flatMap((event) => (event.type === "delta" && event.id === id ? event.choices : []))
    .map((choice) => choice as { index: number; text?: string; delta?: { content?: string } })
    .filter((choice) => choice.index === index)
    .map(({ text, delta }) => text ?? delta?.content ?? "")
    .join("");
}

test("an answer is a start with the route, deltas, and a done with usage", async (t) => {
  const { url } = await startServer(t);
  const { send, untilEnd } = await openSocket(t, url);
  send(chat("a"));
  const events = await untilEnd("a");
  t.like(events[0], {
    type: "start",
    id: "a",
    model: "org/fake",
    seap: { task: "none", expert: "dense" },
  });
  t.true(events.slice(1, -1).every(({ type }) => type === "delta"));
  t.is(textOf(events, "a"), "Hello world");
  t.like(events.at(-1), {
    type: "done",
    id: "a",
    finish_reason: "stop",
    usage: { prompt_tokens: 2, completion_tokens: 2, total_tokens: 4 },
  });
});

test("deltas have the choices of the HTTP stream's chunks", async (t) => {
  const { url, post } = await startServer(t);
  const { send, untilEnd } = await openSocket(t, url);
  const body = { messages, seed: 1, n: 2 };
  send({ type: "chat", id: "a", body });
  const overSocket = (await untilEnd("a")).flatMap((event) =>
    event.type === "delta" ? event.choices : [],
  );
  const response = await post("/v1/chat/completions", { ...body, stream: true });
  const overHttp = (await readEvents(response))
    .slice(0, -1)
    .flatMap((text) => (JSON.parse(text) as { choices: object[] }).choices);
  const byIndex = (choices: readonly object[]) =>
    [0, 1].map((index) =>
      choices.filter((choice) => (choice as { index: number }).index === index),
    );
  t.deepEqual(byIndex(overSocket), byIndex(overHttp));
});

test("many answers run side by side, each in order", async (t) => {
  const engine = new FakeEngine();
  engine.script = ({ promptTokenIds }) => ({
    steps: Array.from({ length: 20 }, (_, step) => `${promptTokenIds.length}.${step} `),
  });
  const { url } = await startServer(t, { engine });
  const { send, events, untilEnd } = await openSocket(t, url);
  const ids = Array.from({ length: 30 }, (_, i) => `answer ${i + 1}`);
  for (const [i, id] of ids.entries()) {
    send({ type: "completion", id, body: { prompt: "x".repeat(i + 1), max_tokens: 20 } });
  }
  for (const id of ids)
    if (!events.some((e) => e.type === "done" && e.id === id)) await untilEnd(id);
  for (const [i, id] of ids.entries()) {
    const wanted = Array.from({ length: 20 }, (_, step) => `${i + 1}.${step} `).join("");
    t.is(textOf(events, id), wanted);
  }
  const order = events.flatMap((event) => (event.type === "delta" ? [event.id] : []));
  t.true(order.indexOf("answer 30") < order.lastIndexOf("answer 1"));
});

test("a completion and a chat, several choices and several prompts are all possible", async (t) => {
  const { url } = await startServer(t);
  const { send, untilEnd } = await openSocket(t, url);
  send({ type: "completion", id: "c", body: { prompt: ["one", "two"], n: 2 } });
  const events = await untilEnd("c");
  for (const index of [0, 1, 2, 3]) t.is(textOf(events, "c", index), "Hello world");
  t.is(events.filter(({ type }) => type === "start").length, 1);
});

test("cancelling ends one answer with an error and leaves the others alone", async (t) => {
  const engine = new FakeEngine();
  const gate = new Gate();
  engine.script = () => ({ steps: ["first", { hold: gate }, " last"] });
  const { url, metric } = await startServer(t, { engine });
  const { send, next, untilEnd } = await openSocket(t, url);
  send(chat("stays"));
  send(chat("goes"));
  let numFirst = 0;
  while (numFirst < 2) {
    const event = await next();
    if (event.type === "delta" && JSON.stringify(event).includes("first")) numFirst++;
  }
  send({ type: "cancel", id: "goes" });
  const cancelled = (await untilEnd("goes")).at(-1);
  t.like(cancelled, { type: "error", id: "goes", status: 499, error: { code: "cancelled" } });
  t.is(engine.cancelledIds.length, 1);
  gate.open();
  const events = await untilEnd("stays");
  t.is(textOf(events, "stays"), " last");
  t.is(await metric("seap_requests_running"), 0);
});

test("cancelling what is not running is no error", async (t) => {
  const { url } = await startServer(t);
  const { send, next } = await openSocket(t, url);
  send({ type: "cancel", id: "nothing" });
  send({ type: "ping" });
  t.deepEqual(await next(), { type: "pong" });
});

test("a queued answer can be cancelled too", async (t) => {
  const engine = new FakeEngine({ maxBatch: 1 });
  const gate = new Gate();
  engine.script = () => ({ steps: [{ hold: gate }, "x"] });
  const { url } = await startServer(t, { engine });
  const { send, untilEnd } = await openSocket(t, url);
  send(chat("running"));
  send(chat("queued"));
  await engine.until(() => engine.requests.length === 2);
  send({ type: "cancel", id: "queued" });
  t.like((await untilEnd("queued")).at(-1), { type: "error", error: { code: "cancelled" } });
  gate.open();
  t.like((await untilEnd("running")).at(-1), { type: "done" });
});

test("closing the connection cancels what is running on it, and on no other", async (t) => {
  const engine = new FakeEngine();
  const gate = new Gate();
  engine.script = () => ({ steps: [{ hold: gate }, "x"] });
  const { url } = await startServer(t, { engine });
  const leaving = await openSocket(t, url);
  const staying = await openSocket(t, url);
  leaving.send(chat("same id"));
  leaving.send(chat("b"));
  staying.send(chat("same id"));
  await engine.until(() => engine.requests.length === 3);
  leaving.ws.terminate();
  await engine.until(() => engine.cancelledIds.length === 2);
  gate.open();
  t.like((await staying.untilEnd("same id")).at(-1), { type: "done" });
});

test("an id in use is refused, and the answer that has it goes on", async (t) => {
  const engine = new FakeEngine();
  const gate = new Gate();
  engine.script = () => ({ steps: [{ hold: gate }, "x"] });
  const { url } = await startServer(t, { engine });
  const { send, next, untilEnd } = await openSocket(t, url);
  send(chat("a"));
  send(chat("a"));
  send({ type: "chat", id: "a", body: 5 });
  const refusals: ServerEvent[] = [];
  while (refusals.length < 2) {
    const event = await next();
    if (event.type === "error") refusals.push(event);
  }
  t.true(refusals.every((event) => !("id" in event)));
  t.like(refusals[0], { status: 400, error: { param: "id", code: "invalid_request" } });
  gate.open();
  t.is(textOf(await untilEnd("a"), "a"), "x");
  send(chat("a"));
  t.is(textOf(await untilEnd("a"), "a"), "x");
});

test("what HTTP refuses is refused with the same error, by id", async (t) => {
  const { url, post } = await startServer(t);
  const { send, untilEnd } = await openSocket(t, url);
  const bodies = [
    { messages: [] },
    { messages, n: 0 },
    { messages, temperature: "hot" },
    { messages, model: "other" },
    { messages: [{ role: "user", content: "x".repeat(300) }] },
    { messages, max_tokens: 1000 },
  ];
  for (const [i, body] of bodies.entries()) {
    const id = `body ${i}`;
    send({ type: "chat", id, body });
    const overSocket = (await untilEnd(id)).at(-1);
    const response = await post("/v1/chat/completions", { ...body, stream: true });
    const { error } = (await response.json()) as { error: object };
    t.deepEqual(overSocket, { type: "error", id, status: response.status, error } as ServerEvent);
  }
});

test("an answer that is not to be streamed is refused, since a WebSocket streams", async (t) => {
  const { url } = await startServer(t);
  const { send, untilEnd } = await openSocket(t, url);
  send(chat("a", { stream: false }));
  t.like((await untilEnd("a")).at(-1), { type: "error", error: { param: "stream" } });
  send(chat("b", { stream: true, stream_options: { include_usage: false } }));
  t.like((await untilEnd("b")).at(-1), { type: "done", usage: { total_tokens: 4 } });
});

test("an answer that fails after its first text ends with the error", async (t) => {
  const engine = new FakeEngine();
  engine.script = () => ({ steps: ["Hel", { fail: new InferenceError("The device was lost.") }] });
  const { url } = await startServer(t, { engine });
  const { send, untilEnd } = await openSocket(t, url);
  send(chat("a"));
  const events = await untilEnd("a");
  t.is(textOf(events, "a"), "Hel");
  t.like(events.at(-1), { type: "error", status: 500, error: { code: "inference" } });
  engine.script = () => ({ steps: [{ fail: new InferenceError("The device was lost.") }] });
  send(chat("b"));
  t.like((await untilEnd("b")).at(-1), { type: "error", error: { code: "inference" } });
});

test("the task of the upgrade's header holds for all answers, and a model's name wins", async (t) => {
  const { url } = await startServer(t, { tasks: ["math", "code"] });
  const { send, untilEnd } = await openSocket(t, url, { headers: { "x-seap-task": "math" } });
  send(chat("a"));
  t.like((await untilEnd("a"))[0], { type: "start", seap: { task: "math", reason: "override" } });
  send(chat("b", { model: "fake:code" }));
  t.like((await untilEnd("b"))[0], { type: "start", seap: { task: "code", reason: "override" } });
});

test("connections and messages are counted", async (t) => {
  const { url, metric } = await startServer(t);
  const socket = await openSocket(t, url);
  t.is(await metric("seap_websocket_connections"), 1);
  socket.send(chat("a"));
  await socket.untilEnd("a");
  const count = (labels: string) => metric(`seap_websocket_messages_total{${labels}}`);
  t.is(await count('direction="received",type="text"'), 1);
  t.is(await count('direction="sent",type="start"'), 1);
  t.is(await count('direction="sent",type="done"'), 1);
  t.is(await metric('seap_http_requests_total{endpoint="websocket",status="101"}'), 1);
});
