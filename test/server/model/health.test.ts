import test from "ava";
import { startServer } from "../../helpers/start-server.ts";
import { Gate } from "../../helpers/fake-engine.ts";

test("E14: who asks as of vLLM or llama.cpp whether the server lives gets their answer, without a key", async (t) => {
  const { get, post } = await startServer(t, { security: { apiKey: ["key-of-alice"] } });
  t.deepEqual(await (await get("/v1/health")).json(), { status: "ok" });
  t.is((await get("/v1/health/")).status, 200);
  for (const response of [await get("/ping"), await post("/ping", {})]) {
    t.is(response.status, 200);
    t.is(await response.text(), "");
  }
  t.is((await get("/ping", { method: "HEAD" })).status, 200);
  t.is((await get("/ping", { method: "DELETE" })).status, 405);
  for (const path of ["/version", "/props"]) t.is((await get(path)).status, 401);
});

test("E14: version and properties are told in the words of vLLM and llama.cpp", async (t) => {
  const loading = new Gate();
  const server = await startServer(t, { loading });
  t.regex(((await (await server.get("/version")).json()) as { version: string }).version, /^\d/);
  t.is((await server.get("/props")).status, 503);
  loading.open();
  await server.loaded;
  t.like(await (await server.get("/props")).json(), {
    default_generation_settings: { n_ctx: 256 },
    total_slots: 32,
    chat_template: "{{ messages }}",
    eos_token: "$",
  });
});

test("E14: a body that is JSON but no object is told so, and an empty name of the model is none", async (t) => {
  const { post } = await startServer(t);
  for (const body of ["null", [], '"text"', 1]) {
    const response = await post("/v1/chat/completions", body);
    t.is(response.status, 400);
    t.like(await response.json(), {
      error: { code: "invalid_request", message: "The request body must be a JSON object." },
    });
  }
  t.is((await post("/v1/completions", { prompt: "Hi", model: "" })).status, 200);
});
