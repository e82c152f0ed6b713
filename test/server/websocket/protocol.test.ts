import { once } from "node:events";
import { connect } from "node:net";
import test from "ava";
import { WebSocket } from "ws";
import { FakeClock } from "../../helpers/fake-clock.ts";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { openSocket } from "../../helpers/open-socket.ts";
import { startServer } from "../../helpers/start-server.ts";

const messages = [{ role: "user", content: "Hi" }];
const chat = (id: string) => ({ type: "chat", id, body: { messages } });
const withKey = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

test("what is no message gets an error, and the connection goes on", async (t) => {
  const { url } = await startServer(t);
  const { ws, send, next } = await openSocket(t, url);
  const wrong: [unknown, object][] = [
    ["{", { code: "invalid_json" }],
    ["", { code: "invalid_json" }],
    ["null", { code: "invalid_request" }],
    ["[]", { code: "invalid_request" }],
    [{ type: "shout" }, { param: "type" }],
    [{ id: "a" }, { param: "type" }],
    [{ type: "chat", body: {} }, { param: "id" }],
    [{ type: "chat", id: 5, body: {} }, { param: "id" }],
    [{ type: "chat", id: "", body: {} }, { param: "id" }],
    [{ type: "chat", id: "x".repeat(129), body: {} }, { param: "id" }],
    [{ type: "ping", extra: 1 }, { code: "invalid_request" }],
  ];
  for (const [message, error] of wrong) {
    send(message);
    const event = await next();
    t.like(event, { type: "error", status: 400, error }, JSON.stringify(message));
    t.false("id" in event);
  }
  for (const body of [undefined, null, 5, []]) {
    send({ type: "completion", id: "a", body });
    t.like(await next(), { type: "error", id: "a", error: { param: "body" } });
  }
  ws.send(Buffer.from(JSON.stringify({ type: "ping" })), { binary: true });
  t.like(await next(), { type: "error", error: { code: "invalid_request" } });
  send({ type: "ping" });
  t.deepEqual(await next(), { type: "pong" });
});

test("a message beyond the size limit closes the connection with 1009", async (t) => {
  const { url, get } = await startServer(t, { bodyLimit: 2000 });
  const { send, closed } = await openSocket(t, url);
  send({ type: "ping", padding: "x".repeat(3000) });
  t.is((await closed).code, 1009);
  t.is((await get("/health")).status, 200);
});

test("more answers than a connection may have are refused until one has ended", async (t) => {
  const engine = new FakeEngine({ maxBatch: 100 });
  const gate = new Gate();
  engine.script = () => ({ steps: [{ hold: gate }, "x"] });
  const { url } = await startServer(t, { engine });
  const { send, untilEnd } = await openSocket(t, url);
  for (let i = 1; i <= 65; i++) send(chat(`${i}`));
  t.like((await untilEnd("65")).at(-1), {
    type: "error",
    status: 429,
    retry_after: 1,
    error: { code: "rate_limit_exceeded" },
  });
  t.is(engine.requests.length, 64);
  gate.open();
  await untilEnd("64");
  send(chat("65"));
  t.like((await untilEnd("65")).at(-1), { type: "done" });
});

test("the key may come in the header of the upgrade", async (t) => {
  const { url } = await startServer(t, { security: { apiKey: ["key"] } });
  const { send, untilEnd } = await openSocket(t, url, withKey("key"));
  send(chat("a"));
  t.like((await untilEnd("a")).at(-1), { type: "done" });
  await t.throwsAsync(openSocket(t, url, withKey("wrong")), { message: /401/ });
});

test("the key may come in the first message", async (t) => {
  const { url } = await startServer(t, { security: { apiKey: ["key"] } });
  const { send, next, untilEnd } = await openSocket(t, url);
  send({ type: "auth", api_key: "key" });
  send(chat("a"));
  t.deepEqual(await next(), { type: "authenticated" });
  t.like((await untilEnd("a")).at(-1), { type: "done" });
});

test("without the right key the first message is the last", async (t) => {
  const { url, engine } = await startServer(t, { security: { apiKey: ["key"] } });
  for (const first of [chat("a"), { type: "auth", api_key: "wrong" }, { type: "ping" }, "{"]) {
    const { send, next, closed } = await openSocket(t, url);
    send(first);
    send(chat("b"));
    t.like(await next(), { type: "error" });
    t.is((await closed).code, 1008, JSON.stringify(first));
  }
  t.is(engine.requests.length, 0);
});

test("a connection on which no key comes in time is closed", async (t) => {
  const clock = new FakeClock();
  const { url } = await startServer(t, { clock, security: { apiKey: ["key"] } });
  const { next, closed } = await openSocket(t, url);
  clock.advance(10_000);
  t.like(await next(), { type: "error", status: 401, error: { code: "invalid_api_key" } });
  t.is((await closed).code, 1008);
});

test("where no key is needed, showing one is no error", async (t) => {
  const { url } = await startServer(t);
  const { send, next } = await openSocket(t, url);
  send({ type: "auth", api_key: "whatever" });
  t.deepEqual(await next(), { type: "authenticated" });
});

test("a key's limits hold for HTTP and WebSocket together", async (t) => {
  const clock = new FakeClock();
  const security = { apiKey: ["key"], rateLimit: { requests: 2, perMs: 60_000 } };
  const { url, post } = await startServer(t, { clock, security });
  const { send, untilEnd } = await openSocket(t, url, withKey("key"));
  const headers = { "content-type": "application/json", ...withKey("key").headers };
  await (await post("/v1/chat/completions", { messages }, { headers })).text();
  send(chat("a"));
  t.like((await untilEnd("a")).at(-1), { type: "done" });
  send(chat("b"));
  t.like((await untilEnd("b")).at(-1), { type: "error", status: 429, retry_after: 30 });
  clock.advance(30_000);
  send(chat("b"));
  t.like((await untilEnd("b")).at(-1), { type: "done" });
});

test("a page of another site may not connect, unless its origin is allowed", async (t) => {
  const app = "https://app.example.com";
  const closed = await startServer(t);
  await t.throwsAsync(openSocket(t, closed.url, { origin: app }), { message: /403/ });
  await openSocket(t, closed.url, { origin: closed.url });
  const open = await startServer(t, { security: { corsOrigins: [app] } });
  await openSocket(t, open.url, { origin: app });
  await t.throwsAsync(openSocket(t, open.url, { origin: `${app}.evil.org` }), { message: /403/ });
});

async function upgrade(url: string, head: string, headers: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.end(`${head}\r\nHost: localhost\r\nConnection: Upgrade\r\n${headers}\r\n\r\n`);
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  await once(socket, "close");
  return text;
}

test("an upgrade elsewhere or in another way gets an error object", async (t) => {
  const { url, get } = await startServer(t);
  const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
  const version = "Sec-WebSocket-Version: 13";
  const good = `Upgrade: websocket\r\n${key}\r\n${version}`;
  const cases: [head: string, headers: string, status: number, code: string][] = [
    ["GET /v1/other HTTP/1.1", good, 404, "not_found"],
    ["GET /v1/chat/completions HTTP/1.1", good, 404, "not_found"],
    ["POST /v1/ws HTTP/1.1", good, 405, "method_not_allowed"],
    ["GET /v1/ws HTTP/1.1", `Upgrade: websocket\r\n${version}`, 400, "invalid_request"],
    ["GET /v1/ws HTTP/1.1", `Upgrade: websocket\r\n${key}`, 400, "invalid_request"],
  ];
  for (const [head, headers, status, code] of cases) {
    const answer = await upgrade(url, head, headers);
    t.true(answer.startsWith(`HTTP/1.1 ${status} `), answer);
    t.true(answer.includes(`"code":"${code}"`), answer);
  }
  const plain = await get("/v1/ws");
  t.is(plain.status, 426);
  t.is(plain.headers.get("upgrade"), "websocket");
  t.is((await get("/v1/ws", { method: "POST" })).status, 405);
});

test("a request that offers HTTP/2, as Java's client does with each, is answered as any other", async (t) => {
  const { url } = await startServer(t);
  const body = '{"messages":[{"role":"user","content":"Hi"}]}';
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  t.teardown(() => socket.destroy());
  socket.write(
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
      "Upgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nContent-Type: application/json\r\n" +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  );
  const [answer] = (await once(socket, "data")) as [Buffer];
  t.regex(answer.toString(), /^HTTP\/1\.1 200 OK[^]*Hello world/);
});

test("connections are refused before the model is there, and when the server stops", async (t) => {
  const loading = new Gate();
  const server = await startServer(t, { loading });
  await t.throwsAsync(openSocket(t, server.url), { message: /503/ });
  loading.open();
  await server.loaded;
  const { ws } = await openSocket(t, server.url);
  t.is(ws.readyState, WebSocket.OPEN);
});

test("E14: a client that offers subprotocols gets its first, for browsers would close the connection", async (t) => {
  const { url } = await startServer(t);
  const ws = new WebSocket(`${url.replace("http", "ws")}/v1/ws`, ["realtime", "seap"]);
  t.teardown(() => ws.terminate());
  await once(ws, "open");
  t.is(ws.protocol, "realtime");
});
