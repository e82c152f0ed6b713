import test from "ava";
import { Gate } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

test("the official client lists the model and its aliases", async (t) => {
  const { client } = await startServer(t);
  const { data } = await client.models.list();
  t.deepEqual(
    data.map(({ id, object }) => [id, object]),
    [
      ["org/fake", "model"],
      ["fake", "model"],
    ],
  );
  t.like(data[0], { root: "org/fake", max_model_len: 256, owned_by: "seap" });
});

test("D47: a model whose id has slashes is found raw and URL-encoded", async (t) => {
  const { client, get } = await startServer(t, { names: ["hf.co/org/fake", "fake"] });
  for (const path of ["hf.co/org/fake", "hf.co%2Forg%2Ffake"]) {
    const response = await get(`/v1/models/${path}`);
    t.is(response.status, 200);
    t.is(((await response.json()) as { id: string }).id, "hf.co/org/fake");
  }
  t.is((await client.models.retrieve("hf.co/org/fake")).id, "hf.co/org/fake");
});

test("an unknown model is answered 404 model_not_found", async (t) => {
  const { client } = await startServer(t);
  const error = await t.throwsAsync(client.models.retrieve("org/other"));
  t.like(error, { status: 404, code: "model_not_found" });
});

test("until the model is loaded the server is alive, not ready, and says when to retry", async (t) => {
  const loading = new Gate();
  const { get, post, loaded } = await startServer(t, { loading });
  t.is((await get("/health")).status, 200);
  const metrics = await (await get("/metrics")).text();
  t.true(metrics.includes("seap_requests_running 0"));
  t.false(metrics.includes("model_name="));
  const refused = [
    await get("/ready"),
    await get("/v1/models"),
    await get("/v1/models/fake"),
    await post("/v1/chat/completions", "not even JSON"),
  ];
  for (const response of refused) {
    t.is(response.status, 503);
    t.is(response.headers.get("retry-after"), "2");
    const { error } = (await response.json()) as { error: { code: string } };
    t.is(error.code, "model_loading");
  }
  loading.open();
  await loaded;
  t.is((await get("/ready")).status, 200);
  t.is((await get("/v1/models/fake")).status, 200);
});
