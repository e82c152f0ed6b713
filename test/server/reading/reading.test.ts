import test from "ava";
import { ClusterRouter } from "../../../router/cluster-router.ts";
import type { Decision } from "../../../router/router.ts";
import { RouterMap } from "../../../router/router-map.ts";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

const decision: Decision = {
  task: "math",
  confidence: 0.75,
  reason: "matched",
  margin: Infinity,
  strangeness: 1,
  threshold: 2,
  scores: [{ task: "math", probability: 1 }],
  nearest: [{ task: null, cluster: 1, distance: 0.9 }],
};

const messages = [{ role: "user", content: "Hi" }];

test("the official client gets an embedding of each input, in either format", async (t) => {
  const { client, engine } = await startServer(t);
  const input = ["ab", "c"];
  const plain = await client.embeddings.create({ model: "fake", input, encoding_format: "float" });
  t.like(plain, {
    object: "list",
    model: "org/fake",
    usage: { prompt_tokens: 3, total_tokens: 3 },
  });
  t.deepEqual(
    plain.data.map(({ index }) => index),
    [0, 1],
  );
  t.deepEqual(plain.data[0]?.embedding, [0.5, 0.5, 0.5, 0.5]);
  // The client asks for base64 where nothing else is said.
  const decoded = await client.embeddings.create({ model: "fake", input });
  for (const index of [0, 1]) {
    t.deepEqual([...decoded.data[index]!.embedding], plain.data[index]!.embedding);
  }
  t.deepEqual(
    engine.requests.map(({ reading, maxTokens }) => [reading, maxTokens]),
    Array.from({ length: 4 }, () => ["embedding", 0]),
  );
});

test("dimensions are the first numbers, made 1 long again", async (t) => {
  const { client } = await startServer(t);
  const ask = (dimensions: number) =>
    client.embeddings.create({ model: "fake", input: "ab", dimensions, encoding_format: "float" });
  const { data } = await ask(2);
  t.deepEqual(data[0]?.embedding, [Math.fround(Math.SQRT1_2), Math.fround(Math.SQRT1_2)]);
  t.like(await t.throwsAsync(ask(5)), { status: 400, param: "dimensions" });
});

test("an input may be token ids, one list or several", async (t) => {
  const { post, engine } = await startServer(t);
  for (const input of [
    [5, 6],
    [[5, 6], [7]],
  ]) {
    t.is((await post("/v1/embeddings", { input })).status, 200);
  }
  t.deepEqual(
    engine.requests.map(({ promptTokenIds }) => [...promptTokenIds]),
    [[5, 6], [5, 6], [7]],
  );
});

test("many inputs do not fill the queue, and are in order", async (t) => {
  const engine = new FakeEngine({ maxBatch: 1, maxWaitingRequests: 1 });
  const { client } = await startServer(t, { engine });
  const input = Array.from({ length: 300 }, (_, index) => "x".repeat(1 + (index % 200)));
  const { data } = await client.embeddings.create({
    model: "fake",
    input,
    encoding_format: "float",
  });
  const firsts = data.map(({ embedding }) => embedding[0]!);
  t.is(firsts.length, 300);
  for (const index of [1, 50, 199]) t.true(firsts[index]! > firsts[index - 1]!);
  t.is(firsts[200], firsts[0]);
});

for (const [body, param] of [
  [{ input: "" }, "input"],
  [{ input: ["a", ""] }, "input"],
  [{ input: [1000] }, "input"],
  [{ input: "x".repeat(257) }, "input"],
  [{ input: Array.from({ length: 2049 }, () => "a") }, "input"],
  [{ input: "a", encoding_format: "int8" }, "encoding_format"],
] as const) {
  test(`embeddings of ${JSON.stringify(body).slice(0, 60)} are refused, naming ${param}`, async (t) => {
    const { post } = await startServer(t);
    const response = await post("/v1/embeddings", body);
    t.is(response.status, 400);
    t.like(await response.json(), { error: { param } });
  });
}

test("a route is told with what the router thinks, and what it was asked about", async (t) => {
  const engine = new FakeEngine();
  engine.script = () => ({
    steps: [],
    route: { task: "math", confidence: 0.75, reason: "matched" },
    decision,
  });
  const { post } = await startServer(t, { engine, tasks: ["code", "math"] });
  t.deepEqual(await (await post("/v1/route", { messages })).json(), {
    object: "route",
    model: "org/fake",
    task: "math",
    confidence: 0.75,
    reason: "matched",
    router: {
      ...decision,
      margin: null,
      nearest: [{ task: "none", cluster: 1, distance: 0.9 }],
      position: null,
    },
    routing_seconds: 0.0001,
    usage: { prompt_tokens: 2 },
  });
  t.like(engine.requests[0], { maxTokens: 0, reading: "route" });
});

test("the router's map tells its clusters, and a route where the prompt lies among them", async (t) => {
  const unit = (index: number) => Float64Array.of(Number(index === 0), Number(index === 1));
  const router = new ClusterRouter({
    model: null,
    projection: { center: new Float64Array(2), matrix: [unit(0), unit(1)] },
    clusters: [
      { task: "code", centroid: Float64Array.of(-2, 0) },
      { task: "math", centroid: Float64Array.of(2, 0) },
      { task: null, centroid: Float64Array.of(0, 5) },
    ],
    temperature: 1,
    threshold: 1,
  });
  const engine = new FakeEngine();
  engine.script = () => ({
    steps: [],
    route: { task: "math", confidence: 0.75, reason: "matched" },
    decision: router.route(Float32Array.of(2, 0)),
  });
  const tasks = ["code", "math"];
  const { get, post } = await startServer(t, { engine, tasks, routerMap: new RouterMap(router) });
  const map = (await (await get("/v1/router/map")).json()) as {
    clusters: { task: string; position: [number, number] }[];
  };
  t.like(map, { object: "router_map", tasks, share: 1 });
  t.deepEqual(
    map.clusters.map(({ task }) => task),
    ["code", "math", "none"],
  );
  const route = await (await post("/v1/route", { messages })).json();
  t.like(route, { router: { position: map.clusters[1]!.position } });
});

test("without a router there is no map", async (t) => {
  const { get } = await startServer(t);
  t.deepEqual(await (await get("/v1/router/map")).json(), {
    object: "router_map",
    tasks: [],
    clusters: [],
    share: null,
  });
});

test("without a router, and where the client chooses, the router was not asked", async (t) => {
  const { post } = await startServer(t, { tasks: ["math"] });
  t.like(await (await post("/v1/route", { prompt: "a" })).json(), {
    task: "none",
    confidence: 0,
    reason: "no-router",
    router: null,
  });
  const named = await post("/v1/route", { prompt: "a", model: "fake:math" });
  t.like(await named.json(), { task: "math", confidence: 1, reason: "override", router: null });
});

test("what is only explained is not counted as routed, nor remembered", async (t) => {
  const { post, metric, engine } = await startServer(t, { tasks: ["math"] });
  await post("/v1/route", { messages });
  t.is(await metric('seap_routing_decisions_total{task="none",reason="no-router"}'), undefined);
  const more = [...messages, { role: "assistant", content: "a" }, { role: "user", content: "b" }];
  await post("/v1/route", { messages: more });
  t.is(engine.requests[1]?.routing?.sticky, undefined);
});

test("route takes either a prompt or messages", async (t) => {
  const { post } = await startServer(t);
  for (const body of [{}, { prompt: "a", messages }, { prompt: "" }]) {
    const response = await post("/v1/route", body);
    t.is(response.status, 400);
    t.like(await response.json(), { error: { param: "prompt" } });
  }
});

test("D18: a client that leaves cancels what was being read for it", async (t) => {
  const engine = new FakeEngine();
  const gate = new Gate();
  engine.script = () => ({ steps: [], routing: gate });
  const { post, metric } = await startServer(t, { engine });
  for (const [path, body] of [
    ["/v1/embeddings", { input: ["a", "b", "c"] }],
    ["/v1/route", { prompt: "a" }],
  ] as const) {
    const { signal, abort } = abortable();
    const answer = post(path, body, {
      signal,
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });
    await engine.until(() => engine.stats().runningRequests > 0);
    abort();
    await t.throwsAsync(answer, { any: true, name: "AbortError" });
    await engine.until(() => engine.stats().runningRequests === 0);
  }
  t.is(await metric("seap_requests_running"), 0);
});

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}
