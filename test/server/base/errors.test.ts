import { request as httpRequest } from "node:http";
import { gzipSync } from "node:zlib";
import test from "ava";
import { EngineStoppedError } from "../../../engine/contract/errors.ts";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

const chat = "/v1/chat/completions";
const hello = { messages: [{ role: "user", content: "Hi" }] };

/** Asserts the shape that every error has, and gives its code. */
async function errorCode(response: Response): Promise<string> {
  const body = (await response.json()) as { error: Record<string, unknown> };
  const { message, type, param, code } = body.error;
  const isComplete =
    Object.keys(body).length === 1 &&
    Object.keys(body.error).length === 4 &&
    [message, type, code].every((text) => typeof text === "string" && text !== "") &&
    (param === null || typeof param === "string");
  if (!isComplete) throw new Error(`not an error object: ${JSON.stringify(body)}`);
  return code as string;
}

test("D44: what the official client reads from an error is there", async (t) => {
  const { client } = await startServer(t);
  const error = await t.throwsAsync(
    client.chat.completions.create({ model: "fake", messages: [] }),
  );
  t.like(error, {
    status: 400,
    type: "invalid_request_error",
    code: "invalid_request",
    param: "messages",
  });
});

test("D45: a body that is not JSON is answered 400 and the server stays up", async (t) => {
  const { post } = await startServer(t);
  for (const body of ['{"messages": [', "hello", "{'messages': []}"]) {
    const response = await post(chat, body);
    t.is(response.status, 400);
    t.is(await errorCode(response), "invalid_json");
  }
  t.is((await post(chat, hello)).status, 200);
});

test("a body that is JSON but no object, or empty, is answered 400", async (t) => {
  const { post } = await startServer(t);
  for (const body of ["[]", "null", '"text"', ""]) {
    const response = await post(chat, body);
    t.is(response.status, 400);
    t.is(await errorCode(response), "invalid_request");
  }
});

test("D43: a body of 200 KB is read", async (t) => {
  const { post } = await startServer(t, { engine: new FakeEngine({ contextLength: 300_000 }) });
  const messages = [{ role: "user", content: "x".repeat(200_000) }];
  t.is((await post(chat, { messages })).status, 200);
});

test("D43: a body over the limit is answered 413, compressed or not", async (t) => {
  const { post } = await startServer(t, { bodyLimit: 10_000 });
  const messages = [{ role: "user", content: "x".repeat(20_000) }];
  const plain = await post(chat, { messages });
  t.is(plain.status, 413);
  t.is(await errorCode(plain), "request_too_large");
  const compressed = await post(chat, "", {
    headers: { "content-type": "application/json", "content-encoding": "gzip" },
    body: gzipSync(JSON.stringify({ messages })),
  });
  t.is(compressed.status, 413);
});

test("a content type or encoding that is not supported is answered 415", async (t) => {
  const { post } = await startServer(t);
  const headers = [
    { "content-type": "text/plain" },
    { "content-type": "application/json", "content-encoding": "zip" },
    { "content-type": "application/json; charset=koi8-r" },
  ];
  for (const header of headers) {
    const response = await post(chat, hello, { headers: header });
    t.is(response.status, 415);
    t.is(await errorCode(response), "unsupported_media_type");
  }
});

test("an unknown path is answered 404", async (t) => {
  const { get, post } = await startServer(t);
  for (const response of [
    await get("/nothing"),
    await get("/v1/nothing"),
    await post("/v2/x", {}),
  ]) {
    t.is(response.status, 404);
    t.is(await errorCode(response), "not_found");
  }
});

test("a method that a path does not have is answered 405 with those it has", async (t) => {
  const { get, post } = await startServer(t);
  const got = await get(chat);
  t.is(got.status, 405);
  t.is(got.headers.get("allow"), "POST");
  t.is(await errorCode(got), "method_not_allowed");
  const posted = await post("/v1/models", {});
  t.is(posted.status, 405);
  t.is(posted.headers.get("allow"), "GET, HEAD");
});

test("D46: a full queue is answered 429 with Retry-After, streaming or not", async (t) => {
  const gate = new Gate();
  const engine = new FakeEngine({ maxBatch: 1, maxWaitingRequests: 1 });
  engine.script = () => ({ steps: [{ hold: gate }, "done"] });
  const { post, metric } = await startServer(t, { engine });
  const admitted = [post(chat, hello), post(chat, hello)];
  await engine.until(() => engine.stats().waitingRequests === 1);
  for (const stream of [false, true]) {
    const response = await post(chat, { ...hello, stream });
    t.is(response.status, 429);
    t.is(response.headers.get("retry-after"), "3");
    t.is(await errorCode(response), "overloaded");
  }
  t.is(await metric('seap_request_errors_total{code="overloaded"}'), 2);
  gate.open();
  for (const response of await Promise.all(admitted)) t.is(response.status, 200);
});

test("a failure that nobody expected is answered 500 without its message, and logged with its stack", async (t) => {
  const engine = new FakeEngine();
  engine.script = () => {
    throw new TypeError("secret detail");
  };
  const { post, logLines } = await startServer(t, { engine });
  const response = await post(chat, hello);
  t.is(response.status, 500);
  const text = await response.text();
  t.false(text.includes("secret"));
  t.is((JSON.parse(text) as { error: { code: string } }).error.code, "internal");
  t.true(logLines.some((line) => line.includes("TypeError: secret detail")));
});

test("a stopped engine is answered 503", async (t) => {
  const engine = new FakeEngine();
  engine.script = () => ({ steps: [{ fail: new EngineStoppedError("The worker ended.") }] });
  const { post } = await startServer(t, { engine });
  const response = await post(chat, hello);
  t.is(response.status, 503);
  t.is(await errorCode(response), "engine_stopped");
});

test("x-request-id is echoed where it is usable, and made where it is not", async (t) => {
  const { get } = await startServer(t);
  const own = await get("/health", { headers: { "x-request-id": "abc-1" } });
  t.is(own.headers.get("x-request-id"), "abc-1");
  const long = await get("/health", { headers: { "x-request-id": "x".repeat(300) } });
  t.regex(long.headers.get("x-request-id")!, /^[0-9a-f-]{36}$/);
  t.regex((await get("/health")).headers.get("x-request-id")!, /^[0-9a-f-]{36}$/);
});

test("a path that cannot be decoded is answered 400", async (t) => {
  const { url } = await startServer(t);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const request = httpRequest(`${url}/v1/models/x`, { path: "/v1/models/%zz" }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("error", reject).end();
  });
  t.is(status, 400);
});
