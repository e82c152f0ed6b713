import { once } from "node:events";
import { connect } from "node:net";
import test from "ava";
import {
  EngineHungError,
  EngineRestartingError,
  EngineStoppedError,
} from "../../engine/contract/errors.ts";
import { FakeEngine, Gate } from "../helpers/fake-engine.ts";
import { openSocket } from "../helpers/open-socket.ts";
import { readEvents, startServer } from "../helpers/start-server.ts";

const chat = "/v1/chat/completions";
const hello = { messages: [{ role: "user", content: "Hi" }] };

function holding(gate: Gate): FakeEngine {
  const engine = new FakeEngine();
  engine.script = () => ({ steps: ["Hello", { hold: gate }, " world"] });
  return engine;
}

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
  test(`D54: on ${signal} a running request is finished before the engine is closed and the server exits with 0`, async (t) => {
    const gate = new Gate();
    const engine = holding(gate);
    const server = await startServer(t, { engine });
    const exit = once(server.signals, "exit");
    const answer = server.post(chat, hello);
    await engine.until(() => engine.stats().runningRequests === 1);
    server.signals.emit(signal);
    const late = await server.post(chat, hello);
    t.is(late.status, 503);
    t.like(await late.json(), { error: { code: "server_stopping" } });
    t.false(engine.isClosed);
    gate.open();
    const { choices } = (await (await answer).json()) as {
      choices: { message: { content: string } }[];
    };
    t.is(choices[0]?.message.content, "Hello world");
    await exit;
    t.true(engine.isClosed);
    t.deepEqual(server.exits, [0]);
    await t.throwsAsync(server.get("/health"));
  });
}

test("while draining an open connection is told that the server is not ready", async (t) => {
  const gate = new Gate();
  const lastGate = new Gate();
  const engine = holding(gate);
  const server = await startServer(t, { engine });
  const exit = once(server.signals, "exit");
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  t.teardown(() => socket.destroy());
  socket.setEncoding("utf8");
  let received = "";
  const until = async (text: string) => {
    while (!received.includes(text)) received += String((await once(socket, "data"))[0]);
  };
  const body = JSON.stringify({ ...hello, stream: true });
  socket.write(`POST ${chat} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`);
  socket.write(`Content-Length: ${body.length}\r\n\r\n${body}`);
  await until("Hello");
  engine.script = () => ({ steps: [{ hold: lastGate }, "last"] });
  const last = server.post(chat, hello);
  await engine.until(() => engine.stats().runningRequests === 2);
  server.signals.emit("SIGTERM");
  // The next request on the same connection, answered after the stream.
  socket.write("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
  gate.open();
  await until("server_stopping");
  t.regex(received, /HTTP\/1\.1 503/);
  t.true(received.indexOf("[DONE]") < received.indexOf("server_stopping"));
  lastGate.open();
  t.is((await last).status, 200);
  await exit;
});

test("after the drain timeout the rest is cancelled and told so, streamed or whole", async (t) => {
  const engine = holding(new Gate());
  const server = await startServer(t, { engine, drainTimeoutSeconds: 0.02 });
  const exit = once(server.signals, "exit");
  const whole = server.post(chat, hello);
  const stream = await server.post(chat, { ...hello, stream: true });
  await engine.until(() => engine.stats().runningRequests === 2);
  server.signals.emit("SIGTERM");
  t.is((await whole).status, 503);
  const last = JSON.parse((await readEvents(stream)).at(-1)!) as { error: { code: string } };
  t.is(last.error.code, "server_stopping");
  await exit;
  t.is(engine.cancelledIds.length, 2);
  t.true(engine.isClosed);
  t.deepEqual(server.exits, [0]);
});

test("a second signal exits at once", async (t) => {
  const gate = new Gate();
  const engine = holding(gate);
  const server = await startServer(t, { engine });
  const answer = server.post(chat, hello);
  await engine.until(() => engine.stats().runningRequests === 1);
  const exit = once(server.signals, "exit");
  server.signals.emit("SIGTERM");
  t.false(engine.isClosed);
  server.signals.emit("SIGINT");
  await exit;
  t.true(engine.isClosed);
  gate.open();
  await answer;
  t.true(server.exits.every((status) => status === 1));
});

test("a third signal does not wait for the engine's step, and SIGHUP is no second one", async (t) => {
  const gate = new Gate();
  const engine = holding(gate);
  const closing = new Gate();
  engine.closing = closing.opened;
  const server = await startServer(t, { engine });
  const answer = server.post(chat, hello);
  await engine.until(() => engine.stats().runningRequests === 1);
  server.signals.emit("SIGHUP");
  server.signals.emit("SIGHUP");
  t.false(engine.isClosed);
  server.signals.emit("SIGTERM");
  t.deepEqual(server.exits, []);
  server.signals.emit("SIGTERM");
  t.deepEqual(server.exits, ["killed"]);
  closing.open();
  gate.open();
  await answer;
});

test("an idle server exits as soon as it is told, also while the model loads", async (t) => {
  for (const loading of [undefined, new Gate()]) {
    const server = await startServer(t, loading === undefined ? {} : { loading });
    await server.get("/health");
    const exit = once(server.signals, "exit");
    server.signals.emit("SIGTERM");
    await exit;
    t.deepEqual(server.exits, [0]);
  }
});

test("while the engine is being started anew the server is alive and not ready, and every request is told so", async (t) => {
  const server = await startServer(t);
  t.is(await server.metric("seap_engine_up"), 1);
  const { send, next } = await openSocket(t, server.url);
  server.engine.problem = new EngineRestartingError();
  server.engine.restarts = 1;
  t.is((await server.get("/health")).status, 200);
  for (const response of [
    await server.get("/ready"),
    await server.post(chat, hello),
    await server.post(chat, { ...hello, stream: true }),
    await server.get("/v1/experts"),
  ]) {
    t.is(response.status, 503);
    t.is(response.headers.get("retry-after"), "2");
    t.like(await response.json(), {
      error: {
        message: "The engine has failed and is being started anew. Retry in a few seconds.",
        code: "engine_restarting",
      },
    });
  }
  send({ type: "chat", id: "a", body: hello });
  t.like(await next(), { type: "error", id: "a", error: { code: "engine_restarting" } });
  t.is(await server.metric("seap_engine_up"), 0);
  t.is(await server.metric("seap_engine_restarts_total"), 1);
  server.engine.problem = null;
  t.is((await server.get("/ready")).status, 200);
  t.is((await server.post(chat, hello)).status, 200);
});

test("an engine that does not come back ends the process with 1, once its requests have their errors", async (t) => {
  const gate = new Gate();
  const engine = holding(gate);
  const server = await startServer(t, { engine });
  const exit = once(server.signals, "exit");
  const error = new EngineStoppedError("The engine's worker failed: /usr/lib/secret.so is gone");
  engine.script = () => ({ steps: ["Hello", { hold: gate }, { fail: error }] });
  const answer = server.post(chat, hello);
  await engine.until(() => engine.stats().runningRequests === 1);
  gate.open();
  engine.problem = error;
  engine.fail(error);
  const response = await answer;
  t.is(response.status, 503);
  const { error: told } = (await response.json()) as { error: { message: string; code: string } };
  t.is(told.code, "engine_stopped");
  t.notRegex(told.message, /secret/);
  await exit;
  t.deepEqual(server.exits, [1]);
  t.true(server.logLines.some((line) => /error request failed .*secret.so/.test(line)));
  t.true(server.logLines.some((line) => line.includes("the engine does not come back: exiting")));
});

test("a thread that hangs is not waited for: the process is killed, at a failure and after a signal", async (t) => {
  const hung = new EngineHungError("The engine's thread has not answered for 600 s.");
  const failing = await startServer(t);
  const failed = once(failing.signals, "exit");
  failing.engine.fail(hung);
  await failed;
  const stopping = await startServer(t);
  const stopped = once(stopping.signals, "exit");
  stopping.engine.closing = Promise.reject(hung);
  stopping.signals.emit("SIGTERM");
  await stopped;
  t.deepEqual([failing.exits, stopping.exits], [["killed"], ["killed"]]);
});
