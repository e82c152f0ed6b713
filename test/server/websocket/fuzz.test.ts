import { once } from "node:events";
import { connect } from "node:net";
import test from "ava";
import fc from "fast-check";
import { openSocket } from "../../helpers/open-socket.ts";
import { startServer } from "../../helpers/start-server.ts";

/** SEAP_FUZZ_MESSAGES and SEAP_FUZZ_SEED change what is sent. */
const numMessages = Number(process.env["SEAP_FUZZ_MESSAGES"] ?? 2000);
const seed = Number(process.env["SEAP_FUZZ_SEED"] ?? 1);

const id = fc.constantFrom("a", "b", "c", "d", "", "x".repeat(129));
const content = fc.oneof(fc.string({ unit: "grapheme" }), fc.jsonValue());
const body = fc.oneof(
  fc.record({ messages: fc.constant([{ role: "user", content: "Hi" }]) }),
  fc.record({ prompt: content }),
  fc.record(
    {
      messages: fc.array(
        fc.record({ role: fc.constantFrom("user", "system", "tool", "x"), content }),
      ),
      prompt: content,
      n: fc.integer({ min: -1, max: 4 }),
      max_tokens: fc.oneof(fc.integer(), fc.jsonValue()),
      stop: fc.jsonValue(),
      logit_bias: fc.jsonValue(),
      stream: fc.boolean(),
      stream_options: fc.jsonValue(),
      response_format: fc.jsonValue(),
      tools: fc.jsonValue(),
      temperature: fc.double(),
    },
    { requiredKeys: [] },
  ),
  fc.jsonValue(),
);
const message = fc.oneof(
  fc.record({ type: fc.constantFrom("chat", "completion"), id, body }),
  fc.record({ type: fc.constant("cancel"), id }),
  fc.record({ type: fc.constantFrom("ping", "auth", "chat", "__proto__", 5), id: fc.jsonValue() }),
  fc.record({ type: fc.constant("auth"), api_key: fc.jsonValue() }),
  fc.jsonValue(),
);
/** JSON with a few characters gone or changed. */
const damaged = fc
  .tuple(message, fc.nat(), fc.nat(8), fc.string({ maxLength: 8 }))
  .map(([value, place, length, text]) => {
    const json = JSON.stringify(value);
    const start = place % (json.length + 1);
    return json.slice(0, start) + text + json.slice(start + length);
  });
const frame: fc.Arbitrary<string | Uint8Array> = fc.oneof(
  { weight: 5, arbitrary: message.map((value) => JSON.stringify(value)) },
  { weight: 3, arbitrary: damaged },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
  { weight: 1, arbitrary: fc.uint8Array() },
);

test("no message makes the server fail, and every answer that starts ends once", async (t) => {
  const { url, engine, get, metric } = await startServer(t);
  const { ws, send, events, untilEnd } = await openSocket(t, url);
  const settle = async (sentinel: string) => {
    send({ type: "completion", id: sentinel, body: { prompt: "x" } });
    t.like((await untilEnd(sentinel)).at(-1), { type: "done" });
  };
  for (const [i, data] of fc.sample(frame, { numRuns: numMessages, seed }).entries()) {
    ws.send(data);
    if (i % 20 === 0) await settle(`after ${i}`);
  }
  await engine.until(() => engine.stats().runningRequests === 0);
  await settle("end");

  const running = new Set<string>();
  for (const event of events) {
    if (event.type === "start") {
      t.false(running.has(event.id));
      running.add(event.id);
    } else if (event.type === "delta") {
      t.true(running.has(event.id));
    } else if (event.type === "done") {
      t.true(running.delete(event.id));
    } else if (event.type === "error") {
      if (event.id !== undefined) running.delete(event.id);
      t.true(event.status < 500, JSON.stringify(event));
    }
  }
  t.deepEqual([...running], []);
  t.true(events.some((event) => event.type === "done" && event.id.length === 1));
  t.is(await metric("seap_requests_running"), 0);
  t.is(await metric('seap_request_errors_total{code="internal"}'), undefined);
  t.is((await get("/health")).status, 200);
});

test("frames that break the protocol close their connection and nothing else", async (t) => {
  const { url, get, metric } = await startServer(t);
  const frames = fc.sample(fc.uint8Array({ minLength: 1, maxLength: 200 }), {
    numRuns: Math.ceil(numMessages / 20),
    seed,
  });
  for (const bytes of frames) {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.on("error", () => undefined).resume();
    socket.write(
      "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    socket.end(bytes);
    await once(socket, "close");
  }
  t.is((await get("/health")).status, 200);
  t.is(await metric("seap_websocket_connections"), 0);
});
