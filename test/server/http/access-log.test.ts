import test, { type ExecutionContext } from "ava";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { openSocket } from "../../helpers/open-socket.ts";
import { startServer, type TestServerOptions } from "../../helpers/start-server.ts";

const chat = "/v1/chat/completions";
const hello = { messages: [{ role: "user", content: "private question" }] };
const traceId = "0af7651916cd43dd8448eb211c80319c";
const parent = `00-${traceId}-b7ad6b7169203331-01`;

type Line = Readonly<Record<string, unknown>>;

async function serve(t: ExecutionContext, options: TestServerOptions = {}) {
  const server = await startServer(t, { logFormat: "json", tasks: ["math"], ...options });
  /** Settles with so many lines of requests. */
  const requests = async (count: number): Promise<Line[]> => {
    for (;;) {
      const lines = server.logLines.map((line) => JSON.parse(line) as Line);
      const found = lines.filter(({ message }) => message === "request");
      if (found.length >= count) return found;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { ...server, requests };
}

test("each request is one line: what was asked, by what it was answered, and no content", async (t) => {
  const { post, requests, logLines } = await serve(t);
  const headers = { "content-type": "application/json", "x-request-id": "mine" };
  const response = await post(chat, { ...hello, model: "fake:math", n: 2 }, { headers });
  t.is(response.headers.get("x-request-id"), "mine");
  await response.text();
  const [line] = await requests(1);
  const { durationMs, promptTokens, time, ...rest } = line!;
  t.deepEqual(rest, {
    level: "info",
    message: "request",
    method: "POST",
    endpoint: "chat_completions",
    status: 200,
    task: "math",
    reason: "override",
    expert: "dense",
    completionTokens: 4,
    finish: "stop",
    requestId: "mine",
  });
  t.true(Number(durationMs) >= 0 && Number(promptTokens) > 0);
  t.truthy(time);
  t.notRegex(logLines.join(""), /private|Hello|world/);
});

test("a request that fails is a line too, and what it logs has its id", async (t) => {
  const engine = new FakeEngine();
  engine.script = () => ({ steps: [{ fail: new TypeError("broken") }] });
  const { post, requests, logLines } = await serve(t, { engine });
  t.is((await post(chat, { messages: [] })).status, 400);
  t.is((await post(chat, { ...hello, frobnicate: 1 })).status, 500);
  const [bad, broken] = await requests(2);
  t.like(bad, { status: 400, endpoint: "chat_completions" });
  t.false("task" in bad!);
  t.like(broken, { status: 500, finish: "none", completionTokens: 0 });
  for (const message of ["request failed", "ignoring an unknown request field, now and later"]) {
    const line = logLines
      .map((each) => JSON.parse(each) as Line)
      .find((each) => each["message"] === message);
    t.is(line!["requestId"], broken!["requestId"], message);
  }
});

test("a client that leaves is 499, with what it had got", async (t) => {
  const engine = new FakeEngine();
  engine.script = () => ({ steps: ["Hello", { hold: new Gate() }] });
  const { post, requests } = await serve(t, { engine });
  const response = await post(chat, { ...hello, stream: true });
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
  t.like((await requests(1))[0], { status: 499, completionTokens: 1, finish: "none" });
});

test("what machines ask for again and again is logged for debugging alone", async (t) => {
  const { get, requests } = await serve(t);
  for (const path of ["/health", "/ready", "/metrics", "/v1/models"])
    await (await get(path)).text();
  const levels = (await requests(4)).map(
    ({ endpoint, level }) => `${String(endpoint)} ${String(level)}`,
  );
  t.deepEqual(levels.sort(), ["health debug", "metrics debug", "models info", "ready debug"]);
});

test("answers over a WebSocket are lines with the ids of connection and message", async (t) => {
  const { url, requests } = await serve(t);
  const headers = { "x-request-id": "socket-1", traceparent: parent };
  const socket = await openSocket(t, url, { headers });
  socket.send({ type: "chat", id: "a", body: { ...hello, model: "fake:math" } });
  await socket.untilEnd("a");
  socket.send({ type: "chat", id: "b", body: { messages: [] } });
  await socket.untilEnd("b");
  const [good, bad] = await requests(2);
  t.like(good, {
    ...{ method: "chat", endpoint: "websocket", status: 200, task: "math", completionTokens: 2 },
    ...{ requestId: "socket-1", messageId: "a", trace_id: traceId },
  });
  t.like(bad, { status: 400, messageId: "b" });
});

test("a client's trace is in its log lines and in the response; without one there is none", async (t) => {
  const { get, requests } = await serve(t);
  const traced = await get("/v1/models", { headers: { traceparent: parent } });
  t.is(traced.headers.get("traceparent"), parent);
  const plain = await get("/v1/models");
  t.is(plain.headers.get("traceparent"), null);
  const [first, second] = await requests(2);
  t.is(first!["trace_id"], traceId);
  t.false("trace_id" in second!);
});
