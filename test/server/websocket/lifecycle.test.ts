import { once } from "node:events";
import test from "ava";
import { FakeClock } from "../../helpers/fake-clock.ts";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { openSocket } from "../../helpers/open-socket.ts";
import { startServer } from "../../helpers/start-server.ts";

const messages = [{ role: "user", content: "Hi" }];
const chat = (id: string) => ({ type: "chat", id, body: { messages } });

function holding(): { engine: FakeEngine; gate: Gate } {
  const engine = new FakeEngine();
  const gate = new Gate();
  engine.script = () => ({ steps: ["first", { hold: gate }, " last"] });
  return { engine, gate };
}

test("a client is pinged, and one that answers stays", async (t) => {
  const clock = new FakeClock();
  const { url } = await startServer(t, { clock });
  const { ws, send, next } = await openSocket(t, url);
  for (let i = 0; i < 5; i++) {
    const pinged = once(ws, "ping");
    clock.advance(30_000);
    await pinged;
    // Comes after the pong.
    send({ type: "ping" });
    t.deepEqual(await next(), { type: "pong" });
  }
});

test("a client that does not answer pings is cut off, and its answers are cancelled", async (t) => {
  const clock = new FakeClock();
  const { engine } = holding();
  const { url } = await startServer(t, { clock, engine });
  const { ws, send, next, closed } = await openSocket(t, url, { autoPong: false });
  send(chat("a"));
  t.is((await next()).type, "start");
  const pinged = once(ws, "ping");
  clock.advance(30_000);
  await pinged;
  clock.advance(30_000);
  t.is((await closed).code, 1006);
  await engine.until(() => engine.cancelledIds.length === 1);
});

test("an idle connection is closed, and one with an answer running is not idle", async (t) => {
  const clock = new FakeClock();
  const { engine, gate } = holding();
  const { url } = await startServer(t, { clock, engine, websocketIdleSeconds: 20 });
  const { send, untilEnd, closed } = await openSocket(t, url);
  send(chat("a"));
  await engine.until(() => engine.requests.length === 1);
  clock.advance(25_000);
  gate.open();
  t.like((await untilEnd("a")).at(-1), { type: "done" });
  clock.advance(19_000);
  send(chat("b"));
  t.like((await untilEnd("b")).at(-1), { type: "done" });
  clock.advance(20_000);
  t.deepEqual(await closed, { code: 1000, reason: "idle" });
});

test("a client that reads slowly pauses its own answer and still gets all of it", async (t) => {
  const engine = new FakeEngine();
  const piece = "x".repeat(100_000);
  engine.script = () => ({ steps: Array.from({ length: 200 }, () => piece) });
  const { url, post } = await startServer(t, { engine });
  const { ws, send, untilEnd, events } = await openSocket(t, url);
  let taken = 0;
  engine.onStep = () => taken++;
  ws.pause();
  send(chat("slow"));
  await engine.until(() => taken > 10);
  // Another client is served meanwhile.
  const response = await post("/v1/completions", { prompt: "x", max_tokens: 1 });
  t.is(response.status, 200);
  t.true(taken < 150, `${taken} pieces were taken while nothing was read`);
  ws.resume();
  t.like((await untilEnd("slow")).at(-1), { type: "done" });
  t.true(JSON.stringify(events).length > 200 * piece.length);
});

test("a client that reads nothing for too long is cut off, and its answers are cancelled", async (t) => {
  const clock = new FakeClock();
  const engine = new FakeEngine();
  const piece = "x".repeat(100_000);
  engine.script = () => ({ steps: Array.from({ length: 200 }, () => piece) });
  const { url, get } = await startServer(t, { clock, engine });
  const { ws, send, closed } = await openSocket(t, url);
  let taken = 0;
  engine.onStep = () => taken++;
  ws.pause();
  send(chat("a"));
  await engine.until(() => taken > 10);
  // Until the sockets' buffers are full.
  for (let before = 0; taken > before;) {
    before = taken;
    for (let i = 0; i < 5; i++) await (await get("/health")).text();
  }
  clock.advance(59_000);
  t.is(engine.cancelledIds.length, 0);
  clock.advance(2000);
  await engine.until(() => engine.cancelledIds.length === 1);
  t.true(taken < 150);
  ws.resume();
  t.deepEqual(await closed, { code: 1008, reason: "the client reads too slowly" });
});

test("what a client sends cannot fill the server's memory with errors that it does not read", async (t) => {
  const { url, get } = await startServer(t);
  const { ws, send } = await openSocket(t, url);
  ws.pause();
  // Each is answered with an error of about its own length.
  const junk = JSON.stringify({ type: "x".repeat(200), id: "i".repeat(100) });
  for (let i = 0; i < 300_000 && ws.bufferedAmount < 8e6; i++) send(junk);
  await get("/health");
  t.true(ws.bufferedAmount > 1e6, "the server stopped reading");
  ws.terminate();
});

test("a stopping server lets answers end, then closes with 1001", async (t) => {
  const { engine, gate } = holding();
  const server = await startServer(t, { engine });
  const busy = await openSocket(t, server.url);
  const idle = await openSocket(t, server.url);
  busy.send(chat("a"));
  t.is((await busy.next()).type, "start");
  server.signals.emit("SIGTERM");
  t.is((await idle.closed).code, 1001);
  busy.send(chat("late"));
  t.like((await busy.untilEnd("late")).at(-1), { status: 503, error: { code: "server_stopping" } });
  t.deepEqual(server.exits, []);
  gate.open();
  t.like((await busy.untilEnd("a")).at(-1), { type: "done" });
  t.is((await busy.closed).code, 1001);
  if (server.exits.length === 0) await once(server.signals, "exit");
  t.deepEqual(server.exits, [0]);
});

test("answers that outlast the drain are cancelled, and the connection is closed", async (t) => {
  const { engine } = holding();
  const server = await startServer(t, { engine, drainTimeoutSeconds: 0 });
  const { send, next, untilEnd, closed } = await openSocket(t, server.url);
  send(chat("a"));
  t.is((await next()).type, "start");
  server.signals.emit("SIGTERM");
  t.like((await untilEnd("a")).at(-1), { status: 503, error: { code: "server_stopping" } });
  t.is((await closed).code, 1001);
  if (server.exits.length === 0) await once(server.signals, "exit");
  t.deepEqual(server.exits, [0]);
});
