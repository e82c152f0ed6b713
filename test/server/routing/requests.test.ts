import test from "ava";
import type { GenerateRequest } from "../../../engine/contract/request.ts";
import type { Route } from "../../../engine/contract/routing.ts";
import { FakeEngine, Gate, type Script } from "../../helpers/fake-engine.ts";
import { readEvents, startServer } from "../../helpers/start-server.ts";

const tasks = ["code", "math"];
const matched: Route = { task: "math", confidence: 0.912_345, reason: "matched" };
const hello = { messages: [{ role: "user", content: "Hi" }] };
const inHeaders = { task: "math", expert: "dense", confidence: 0.9123, reason: "matched" };
const seap = { ...inHeaders, route: "matched" };

function engineWith(script: Script = { steps: ["Hello"], route: matched }): FakeEngine {
  const engine = new FakeEngine();
  engine.script = () => script;
  return engine;
}

function headersOf({ headers }: Response) {
  const read = (name: string) => headers.get(`x-seap-${name}`);
  return {
    task: read("task"),
    expert: read("expert"),
    confidence: Number(read("confidence")),
    reason: read("reason"),
  };
}

function routingOf(engine: FakeEngine): GenerateRequest["routing"] {
  return engine.requests.at(-1)!.routing;
}

test("an answer tells its route in headers and body", async (t) => {
  const { post } = await startServer(t, { engine: engineWith(), tasks });
  for (const [path, body] of [
    ["/v1/chat/completions", hello],
    ["/v1/completions", { prompt: "Hi" }],
  ] as const) {
    const response = await post(path, body);
    t.deepEqual(headersOf(response), inHeaders);
    t.deepEqual(((await response.json()) as { seap: unknown }).seap, seap);
  }
});

test("a stream tells its route in headers and in the chunk that ends a choice", async (t) => {
  const { post } = await startServer(t, { engine: engineWith(), tasks });
  const stream_options = { include_usage: true };
  const response = await post("/v1/chat/completions", { ...hello, stream: true, stream_options });
  t.deepEqual(headersOf(response), inHeaders);
  const events = (await readEvents(response)).slice(0, -1);
  const chunks = events.map((event) => JSON.parse(event) as { seap?: unknown; choices: unknown[] });
  const told = chunks.filter((chunk) => chunk.seap !== undefined);
  t.is(told.length, 1);
  t.deepEqual(told[0]!.seap, seap);
  t.like(told[0]!.choices[0], { finish_reason: "stop" });
});

test("a stream's headers wait for the route, and an error before it has its status", async (t) => {
  const routing = new Gate();
  const engine = engineWith({ steps: ["Hello"], route: matched, routing });
  const { post } = await startServer(t, { engine, tasks });
  const answer = post("/v1/chat/completions", { ...hello, stream: true, n: 2 });
  let hasAnswered = false;
  void answer.then(() => (hasAnswered = true));
  await engine.until(() => engine.stats().runningRequests === 2);
  t.false(hasAnswered);
  routing.open();
  t.is((await answer).headers.get("x-seap-task"), "math");
  await (await answer).text();
  engine.generate = async function* () {
    yield await Promise.resolve({ type: "accepted" as const });
    throw new Error("broken");
  };
  t.is((await post("/v1/chat/completions", { ...hello, stream: true, n: 2 })).status, 500);
});

test("a stream whose route takes long begins without it and tells it at the end", async (t) => {
  const routing = new Gate();
  const engine = engineWith({ steps: ["Hello"], route: matched, routing });
  const { post } = await startServer(t, { engine, tasks, keepAliveSeconds: 0.01 });
  const response = await post("/v1/chat/completions", { ...hello, stream: true });
  t.is(response.status, 200);
  t.is(response.headers.get("x-seap-task"), null);
  routing.open();
  const events = await readEvents(response);
  t.deepEqual((JSON.parse(events.at(-2)!) as { seap: unknown }).seap, seap);
});

test("a client that leaves before the route cancels its stream", async (t) => {
  const engine = engineWith({ steps: ["Hello"], routing: new Gate() });
  const { post } = await startServer(t, { engine, tasks });
  const controller = new AbortController();
  const { signal } = controller;
  const answer = post("/v1/chat/completions", { ...hello, stream: true }, { signal });
  await engine.until(() => engine.stats().runningRequests === 1);
  controller.abort();
  await t.throwsAsync(answer, { any: true });
  await engine.until(() => engine.cancelledIds.length === 1);
  t.is(engine.stats().runningRequests, 0);
});

test("choices of one prompt share its route, several prompts tell one each", async (t) => {
  const engine = engineWith();
  engine.script = ({ promptTokenIds }) => ({
    steps: ["x"],
    route: { ...matched, task: promptTokenIds.length === 1 ? "code" : "math" },
  });
  const { post } = await startServer(t, { engine, tasks });
  const bodyOf = async (response: Response) =>
    (await response.json()) as { seap: object; choices: { seap?: object }[] };
  const one = await bodyOf(await post("/v1/completions", { prompt: "Hi", n: 2 }));
  t.deepEqual(
    one.choices.map((choice) => choice.seap),
    [undefined, undefined],
  );
  const response = await post("/v1/completions", { prompt: ["H", "Hi"] });
  t.is(response.headers.get("x-seap-task"), "code");
  const two = await bodyOf(response);
  t.like(two.seap, { task: "code" });
  t.like(two.choices[0]!.seap, { task: "code" });
  t.like(two.choices[1]!.seap, { task: "math" });
});

test("without a router nothing is chosen, and the prompt is not looked at", async (t) => {
  const engine = new FakeEngine();
  const { post } = await startServer(t, { engine });
  const response = await post("/v1/chat/completions", hello);
  t.deepEqual(headersOf(response), {
    task: "none",
    expert: "dense",
    confidence: 0,
    reason: "no-router",
  });
  t.deepEqual(routingOf(engine), { spans: { question: { start: 0, end: 2 }, previous: null } });
});

test("what is classified is the user's last message, and all of a raw prompt", async (t) => {
  const engine = engineWith();
  const { post } = await startServer(t, { engine, tasks });
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hi" },
  ];
  await post("/v1/chat/completions", { messages });
  t.deepEqual(routingOf(engine)?.spans.question, { start: 9, end: 11 });
  await post("/v1/completions", { prompt: [1, 2, 3] });
  t.deepEqual(routingOf(engine)?.spans.question, { start: 0, end: 3 });
});

test("a model name with a task overrides the router", async (t) => {
  const engine = engineWith();
  const { post, client } = await startServer(t, { engine, tasks, names: ["a:b/m", "m"] });
  for (const [model, task] of [
    ["a:b/m:code", "code"],
    ["m:math", "math"],
    ["m:none", "none"],
  ] as const) {
    const response = await post("/v1/chat/completions", { ...hello, model });
    t.like(headersOf(response), { task, reason: "override", confidence: 1 });
    t.is(((await response.json()) as { model: string }).model, "a:b/m");
  }
  const { data } = await client.models.list();
  t.deepEqual(
    data.map(({ id }) => id),
    ["a:b/m", "m", "a:b/m:code", "a:b/m:math"],
  );
  t.like(await client.models.retrieve("a:b/m:code"), { id: "a:b/m:code", root: "a:b/m" });
});

test("an unknown task in a model's name is a 404 that names those there are", async (t) => {
  const { post } = await startServer(t, { tasks });
  for (const model of ["fake:poetry", "fake:", "other:code", "code"]) {
    const response = await post("/v1/chat/completions", { ...hello, model });
    t.is(response.status, 404);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    t.is(error.code, "model_not_found");
    t.regex(error.message, /Served: org\/fake, fake, org\/fake:code, org\/fake:math\.$/);
  }
});

test("a header overrides the router; an unknown task in it is a 400", async (t) => {
  const { post } = await startServer(t, { engine: engineWith(), tasks });
  const send = (task: string) => post("/v1/chat/completions", hello, json(hello, task));
  t.like(headersOf(await send("code")), { task: "code", reason: "override" });
  t.like(headersOf(await send("none")), { task: "none", reason: "override" });
  const refused = await send("poetry");
  t.is(refused.status, 400);
  t.like(((await refused.json()) as { error: object }).error, {
    code: "invalid_request",
    param: "x-seap-task",
    message: 'Header x-seap-task: expected one of code, math, none, got "poetry".',
  });
});

test("the model's name wins over the header, that over the rules, those over the conversation", async (t) => {
  const rules = [{ when: { keyword: "sum" }, task: "math" }];
  const engine = engineWith({ steps: ["x"], route: { ...matched, task: "code" } });
  const { post } = await startServer(t, { engine, tasks, rules });
  const first = { role: "user", content: "first" };
  await post("/v1/chat/completions", { messages: [first] });
  const messages = [
    first,
    { role: "assistant", content: "x" },
    { role: "user", content: "The Sum?" },
  ];
  const ask = async (body: object, task?: string) => {
    const whole = { messages, ...body };
    return headersOf(await post("/v1/chat/completions", whole, json(whole, task)));
  };
  t.like(await ask({ model: "fake:none" }, "code"), { task: "none", reason: "override" });
  t.like(await ask({}, "code"), { task: "code", reason: "override" });
  t.like(await ask({}), { task: "math", reason: "rule" });
  t.is(routingOf(engine)?.sticky, undefined);
});

test("D55: the next request of a conversation brings its task along, another conversation does not", async (t) => {
  const engine = engineWith();
  const { post } = await startServer(t, { engine, tasks, stickyMargin: 1.5 });
  const first = { role: "user", content: "Hi" };
  const next = [
    { role: "assistant", content: "Hello" },
    { role: "user", content: "And?" },
  ];
  await post("/v1/chat/completions", { messages: [first] });
  t.is(routingOf(engine)?.sticky, undefined);
  await post("/v1/chat/completions", { messages: [first, ...next] });
  t.deepEqual(routingOf(engine)?.sticky, { task: "math", margin: 1.5 });
  await post("/v1/chat/completions", { messages: [{ ...first, content: "Ho" }, ...next] });
  t.is(routingOf(engine)?.sticky, undefined);
});

test("with a margin of 0 every prompt stands for itself", async (t) => {
  const engine = engineWith();
  const { post } = await startServer(t, { engine, tasks, stickyMargin: 0 });
  const first = { role: "user", content: "Hi" };
  await post("/v1/chat/completions", { messages: [first] });
  await post("/v1/chat/completions", {
    messages: [first, { role: "assistant", content: "Hello" }, first],
  });
  t.is(routingOf(engine)?.sticky, undefined);
});

test("decisions are counted by task and reason, the router's own by confidence and time", async (t) => {
  const { post, metric } = await startServer(t, { engine: engineWith(), tasks });
  await post("/v1/chat/completions", hello);
  await post("/v1/chat/completions", { ...hello, n: 2 });
  await post("/v1/chat/completions", { ...hello, model: "fake:code" });
  t.is(await metric('seap_routing_decisions_total{task="math",reason="matched"}'), 3);
  t.is(await metric('seap_routing_decisions_total{task="code",reason="override"}'), 1);
  t.is(await metric("seap_routing_confidence_count"), 3);
  t.is(await metric('seap_routing_confidence_bucket{le="0.9"}'), 0);
  t.is(await metric("seap_routing_seconds_count"), 3);
});

function json(body: object, task?: string): RequestInit {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (task !== undefined) headers["x-seap-task"] = task;
  return { method: "POST", headers, body: JSON.stringify(body) };
}
