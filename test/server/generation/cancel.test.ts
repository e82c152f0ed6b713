import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import test from "ava";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { openSocket } from "../../helpers/open-socket.ts";
import { startServer } from "../../helpers/start-server.ts";

const messages = [{ role: "user" as const, content: "Hi" }];

/** Every answer stops after its first token until the gate opens. */
function holdingEngine(gate: Gate, maxBatch: number): FakeEngine {
  const engine = new FakeEngine({ maxBatch });
  engine.script = () => ({ steps: ["Hello", { hold: gate }, " world"] });
  return engine;
}

test("D17: a client that leaves while queued is taken out of the queue and never run", async (t) => {
  const gate = new Gate();
  const engine = holdingEngine(gate, 1);
  const { client, metric } = await startServer(t, { engine });
  const first = client.chat.completions.create({ model: "fake", messages });
  await engine.until(() => engine.stats().runningRequests === 1);
  const leaving = new AbortController();
  const second = client.chat.completions.create(
    { model: "fake", messages },
    { signal: leaving.signal },
  );
  await engine.until(() => engine.stats().waitingRequests === 1);
  t.is(await metric("seap_requests_waiting"), 1);
  leaving.abort();
  await t.throwsAsync(second);
  await engine.until(() => engine.stats().waitingRequests === 0);
  t.is(await metric("seap_requests_waiting"), 0);
  t.deepEqual(engine.cancelledIds, [engine.requests[1]?.id]);
  gate.open();
  t.is((await first).choices[0]?.message.content, "Hello world");
});

test("D18: a client that leaves in mid-stream frees the slot for the next request", async (t) => {
  const gate = new Gate();
  const engine = holdingEngine(gate, 1);
  const { client, metric } = await startServer(t, { engine });
  const stream = await client.chat.completions.create({ model: "fake", messages, stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === "Hello") break;
  await engine.until(() => engine.stats().runningRequests === 0);
  t.is(engine.cancelledIds.length, 1);
  gate.open();
  const next = await client.chat.completions.create({ model: "fake", messages });
  t.is(next.choices[0]?.message.content, "Hello world");
  t.is(await metric('seap_requests_finished_total{finished_reason="abort"}'), 1);
  t.is(await metric('seap_http_requests_total{endpoint="chat_completions",status="499"}'), 1);
});

test("D18: a client that leaves before a whole answer is ready frees the slot too", async (t) => {
  const engine = holdingEngine(new Gate(), 1);
  const { client } = await startServer(t, { engine });
  const leaving = new AbortController();
  const { signal } = leaving;
  const answer = client.chat.completions.create({ model: "fake", messages }, { signal });
  await engine.until(() => engine.stats().runningRequests === 1);
  leaving.abort();
  await t.throwsAsync(answer);
  await engine.until(() => engine.stats().runningRequests === 0);
  t.deepEqual(engine.cancelledIds, [engine.requests[0]?.id]);
});

test("D19: cancelling a queued request leaves the running and the other queued ones alone", async (t) => {
  const gate = new Gate();
  const engine = holdingEngine(gate, 1);
  const { client } = await startServer(t, { engine });
  const running = client.chat.completions.create({ model: "fake", messages });
  await engine.until(() => engine.requests.length === 1);
  const leaving = new AbortController();
  const { signal } = leaving;
  const cancelled = client.chat.completions.create({ model: "fake", messages }, { signal });
  await engine.until(() => engine.requests.length === 2);
  const queued = client.chat.completions.create({ model: "fake", messages });
  await engine.until(() => engine.requests.length === 3);
  leaving.abort();
  await t.throwsAsync(cancelled);
  await engine.until(() => engine.cancelledIds.length === 1);
  gate.open();
  const texts = (await Promise.all([running, queued])).map(
    ({ choices }) => choices[0]?.message.content,
  );
  t.deepEqual(texts, ["Hello world", "Hello world"]);
  t.deepEqual(engine.cancelledIds, [engine.requests[1]?.id]);
});

test("leaving cancels every choice of the request", async (t) => {
  const engine = holdingEngine(new Gate(), 2);
  const { client } = await startServer(t, { engine });
  const stream = await client.chat.completions.create({
    model: "fake",
    messages,
    stream: true,
    n: 4,
  });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === "Hello") break;
  await engine.until(() => engine.cancelledIds.length === 4);
  t.deepEqual(engine.stats(), {
    runningRequests: 0,
    waitingRequests: 0,
    parkedRequests: 0,
    waitingTokens: 0,
    kvCacheUsage: 0,
    kvBytes: 0,
    weightBytes: 0,
    prefixCacheBytes: 0,
    grammarCacheBytes: 0,
    restarts: 0,
  });
});

test("when the engine refuses one of several choices, the others are cancelled", async (t) => {
  const engine = new FakeEngine({ maxBatch: 1, maxWaitingRequests: 4 });
  engine.script = () => ({ steps: [{ hold: new Gate() }] });
  const { client } = await startServer(t, { engine });
  const leaving = new AbortController();
  const { signal } = leaving;
  const first = client.chat.completions.create({ model: "fake", messages, n: 3 }, { signal });
  await engine.until(() => engine.requests.length === 3);
  const error = await t.throwsAsync(
    client.chat.completions.create({ model: "fake", messages, n: 4 }),
  );
  t.like(error, { status: 429 });
  await engine.until(() => engine.stats().waitingRequests === 2);
  t.is(engine.stats().runningRequests, 1);
  leaving.abort();
  await t.throwsAsync(first);
});

test("a client that leaves while it is sending its request counts as gone, not as wrong", async (t) => {
  const { url, server, metric } = await startServer(t);
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const head =
    "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  const begun = once(server, "request") as Promise<[unknown, ServerResponse]>;
  socket.write(`${head}Content-Length: 100\r\n\r\n{`);
  const [, response] = await begun;
  const closed = once(response, "close");
  socket.destroy();
  await closed;
  t.is(await metric('seap_http_requests_total{endpoint="completions",status="499"}'), 1);
  t.is(await metric('seap_request_errors_total{code="cancelled"}'), 1);
});

test("sixteen choices and many prompts leave no warning of a leak", async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on("warning", onWarning);
  t.teardown(() => process.off("warning", onWarning));
  const { client, url } = await startServer(t);
  await client.chat.completions.create({ model: "fake", messages, n: 16 });
  const stream = await client.chat.completions.create({
    ...{ model: "fake", messages, n: 16 },
    stream: true,
  });
  for await (const chunk of stream) t.truthy(chunk.id);
  await client.completions.create({ model: "fake", prompt: Array<string>(20).fill("Hi") });
  await client.embeddings.create({ model: "fake", input: Array<string>(20).fill("Hi") });
  const { send, untilEnd } = await openSocket(t, url);
  send({ type: "chat", id: "a", body: { messages, n: 16 } });
  await untilEnd("a");
  t.deepEqual(warnings, []);
});
