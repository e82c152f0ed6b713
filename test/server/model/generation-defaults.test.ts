import { join } from "node:path";
import test from "ava";
import { createLog } from "../../../server/base/log.ts";
import { parseConfig } from "../../../server/config/config.ts";
import { loadModel } from "../../../server/model/load-model.ts";
import { startServer } from "../../helpers/start-server.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { writeTinyGguf } from "../../helpers/tiny-gguf.ts";

const generationDefaults = {
  temperature: 0.6,
  topP: 0.95,
  topK: 20,
  minP: 0.1,
  repetitionPenalty: 1.1,
};
const messages = [{ role: "user", content: "Hi" }];
const neutral = { temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 };

test("where a request does not say how tokens are drawn the model's defaults hold, at every endpoint", async (t) => {
  const { post, engine } = await startServer(t, { generationDefaults });
  for (const [path, body] of [
    ["/v1/chat/completions", { messages, temperature: null }],
    ["/v1/completions", { prompt: "Hi" }],
    ["/v1/responses", { input: "Hi" }],
  ] as const) {
    t.is((await post(path, body)).status, 200);
    t.like(engine.requests.at(-1)?.sampling, generationDefaults, path);
  }
});

test("what a request says wins, under whichever name", async (t) => {
  const { post, engine } = await startServer(t, { generationDefaults });
  const given = { temperature: 1, top_p: 1, top_k: 0, min_p: 0 };
  for (const penalty of [{ repetition_penalty: 1 }, { repeat_penalty: 1 }]) {
    await post("/v1/chat/completions", { messages, ...given, ...penalty });
    t.like(engine.requests.at(-1)?.sampling, neutral);
  }
});

test("without defaults those of the API hold", async (t) => {
  const { post, engine } = await startServer(t);
  await post("/v1/chat/completions", { messages });
  t.like(engine.requests.at(-1)?.sampling, neutral);
});

test("the defaults are told, in properties and in responses", async (t) => {
  const { get, post } = await startServer(t, { generationDefaults: { temperature: 0.6 } });
  t.like(await (await get("/props")).json(), {
    default_generation_settings: {
      params: { temperature: 0.6, top_p: 1, top_k: 0, min_p: 0, repeat_penalty: 1 },
    },
  });
  t.like(await (await post("/v1/responses", { input: "Hi" })).json(), {
    temperature: 0.6,
    top_p: 1,
  });
});

test("a model is loaded with its file's defaults, which one line of the log tells, or without", async (t) => {
  const path = join(tempDir(t), "tiny.gguf");
  writeTinyGguf(path, {}, { "general.sampling.temp": 0.6, "general.sampling.top_k": 20 });
  const load = async (...args: string[]) => {
    const lines: string[] = [];
    const { config } = parseConfig({ args: ["--model", path, "--threads", "1", ...args], env: {} });
    const loaded = await loadModel(
      config,
      createLog("info", (line) => lines.push(line)),
    );
    await loaded.close();
    const told = lines.filter((line) => line.includes("generation defaults"));
    return { defaults: loaded.generationDefaults, told };
  };
  const auto = await load();
  t.deepEqual(auto.defaults, { temperature: 0.6, topK: 20 });
  t.is(auto.told.length, 1);
  t.regex(auto.told[0]!, /temperature=0\.6 top_k=20/);
  t.deepEqual(await load("--generation-config", "openai"), { defaults: {}, told: [] });
});
