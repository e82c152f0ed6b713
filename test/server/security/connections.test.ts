import { once } from "node:events";
import { connect, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { startServer, type TestServer } from "../../helpers/start-server.ts";

function open(t: ExecutionContext, { url }: TestServer): Socket {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => undefined);
  t.teardown(() => socket.destroy());
  return socket;
}

async function readAll(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  await once(socket, "close");
  return text;
}

const request = (body: string, length = Buffer.byteLength(body)) =>
  "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
  `Content-Length: ${length}\r\n\r\n${body}`;

test("what is no HTTP gets an error object", async (t) => {
  const server = await startServer(t);
  for (const text of [
    "nonsense\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "GET / HTTP/1.1\r\n: x\r\n\r\n",
  ]) {
    const socket = open(t, server);
    socket.write(text);
    const answer = await readAll(socket);
    t.regex(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
    t.regex(answer, /"code":"malformed_request"/);
  }
  t.is(await server.metric('seap_request_errors_total{code="malformed_request"}'), 3);
});

test("headers beyond what Node takes get 431", async (t) => {
  const server = await startServer(t);
  const socket = open(t, server);
  socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\nX-Big: ${"x".repeat(20_000)}\r\n\r\n`);
  t.regex(await readAll(socket), /^HTTP\/1\.1 431 .*"code":"headers_too_large"/s);
});

test("headers that do not arrive in time get 408, and so does a body", async (t) => {
  const server = await startServer(t, { receiveTimeoutSeconds: 0.4 });
  const slow = open(t, server);
  slow.write("GET /health HTTP/1.1\r\nHost: localhost\r\n");
  const answer = await readAll(slow);
  t.regex(answer, /^HTTP\/1\.1 408 Request Timeout\r\n/);
  t.regex(answer, /"code":"request_timeout"/);
  const slowBody = open(t, server);
  slowBody.write(request('{"messages"', 100));
  t.regex(await readAll(slowBody), /^HTTP\/1\.1 408 /);
  t.is((await server.get("/health")).status, 200);
});

test("an answer that takes long is not cut off while the client waits for it", async (t) => {
  const engine = new FakeEngine();
  const gate = new Gate();
  engine.script = () => ({ steps: [{ hold: gate }, "late"] });
  const limits = { receiveTimeoutSeconds: 5, slowClientSeconds: 0.4 };
  const server = await startServer(t, { engine, ...limits });
  const socket = open(t, server);
  socket.write(request('{"messages":[{"role":"user","content":"Hi"}]}'));
  await engine.until(() => engine.requests.length === 1);
  // A second connection lives through the time that would have been too long for the first.
  const other = open(t, server);
  other.write("GET /health HTTP/1.1\r\n");
  await readAll(other);
  gate.open();
  const [chunk] = (await once(socket, "data")) as [Buffer];
  t.regex(chunk.toString(), /^HTTP\/1\.1 200 OK[^]*late/);
});

test("a client that leaves its stream unread is cut off, and its answer cancelled", async (t) => {
  const engine = new FakeEngine();
  const piece = "x".repeat(200_000);
  engine.script = () => ({ steps: Array.from({ length: 200 }, () => piece) });
  const server = await startServer(t, { engine, slowClientSeconds: 0.4 });
  const socket = open(t, server);
  socket.pause();
  const body = '{"stream":true,"messages":[{"role":"user","content":"Hi"}]}';
  socket.write(request(body));
  await engine.until(() => engine.cancelledIds.length === 1);
  t.is(engine.stats().runningRequests, 0);
});

test("a connection on which nothing comes is closed", async (t) => {
  const server = await startServer(t, { slowClientSeconds: 0.4 });
  t.is(await readAll(open(t, server)), "");
});
