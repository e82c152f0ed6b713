import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { deadly, fragileWorker } from "../helpers/fragile.ts";
import { serveModel, type ServedModel } from "../helpers/serve-model.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";
import { TinyExpertSource } from "../helpers/tiny-expert-source.ts";
import { writeTinyRouter } from "../helpers/tiny-router.ts";

const tasks = ["code", "math"];
const twoEngines = ["--engines", "2", "--threads", "2"];

let folder: string;
let modelPath: string;

test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  modelPath = join(folder, "tiny.gguf");
  writeTinyGguf(modelPath);
});

test.after.always(() => rmSync(folder, { recursive: true }));

type Sources = Parameters<typeof serveModel>[1];

async function serve(t: ExecutionContext, args: readonly string[], sources: Sources = {}) {
  const served = await serveModel(["--model", modelPath, ...args], sources);
  t.teardown(() => served.stop());
  return served;
}

interface Question {
  readonly prompt: string;
  readonly max_tokens: number;
  readonly temperature: number;
  readonly seed: number;
}

async function complete({ client }: ServedModel, question: Question): Promise<string> {
  const { choices } = await client.completions.create({ model: "tiny", ...question });
  return choices[0]!.text;
}

test("20 parallel requests get from two engines what one engine gives them", async (t) => {
  const questions = Array.from({ length: 20 }, (_, i): Question => {
    const prompt = `Question ${i}: ${"why and how ".repeat((i % 5) * 9)}?`;
    return { prompt, max_tokens: 20 + 3 * i, temperature: i % 2 === 0 ? 0 : 0.9, seed: i };
  });
  const common = ["--prefill-chunk", "32", "--max-batch", "6"];
  const one = await serve(t, common);
  const two = await serve(t, [...common, ...twoEngines]);
  const [expected, texts, again] = await Promise.all(
    [one, two, two].map((served) =>
      Promise.all(questions.map((question) => complete(served, question))),
    ),
  );
  t.deepEqual(texts, expected);
  t.deepEqual(again, expected);
  t.is(await one.metric("seap_engines"), 1);
  t.is(await two.metric("seap_engines"), 2);
  const bytes = async (served: ServedModel) => (await served.metric("seap_engine_weight_bytes"))!;
  t.is(await bytes(two), 2 * (await bytes(one)));
});

test("a conversation's beginning is found again, whatever else came meanwhile", async (t) => {
  const { client } = await serve(t, [...twoEngines, "--prefill-chunk", "32"]);
  const ask = async (prompt: string) => {
    const { usage } = await client.completions.create({ model: "tiny", prompt, max_tokens: 4 });
    return usage!.prompt_tokens_details!.cached_tokens!;
  };
  const conversations = ["Once ", "Then ", "Now "].map((word) => word.repeat(80));
  for (const prompt of conversations) t.is(await ask(prompt), 0);
  const cached = await Promise.all(conversations.map((prompt) => ask(`${prompt} and so on`)));
  for (const tokens of cached) t.true(tokens >= 64, String(cached));
});

test("an expert is built once, and both engines may have it", async (t) => {
  const router = join(folder, "router.safetensors");
  await writeTinyRouter(router, modelPath, tasks);
  const source = new TinyExpertSource(modelPath, mkdtempSync(join(folder, "experts-")), tasks);
  const args = [...twoEngines, "--router", router, "--expert-policy", "task"];
  const served = await serve(t, args, { experts: source });
  const command = async (path: string) => {
    const response = await fetch(`${served.url}/v1/experts/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
    });
    return response.status;
  };
  t.is(await command("code/build"), 202);
  await served.untilMetric('seap_expert_state{expert="code",state="stored"}', 1);
  t.deepEqual(source.began, ["code"]);
  t.is(await command("code/load"), 202);
  await served.untilMetric('seap_expert_loads_total{expert="code"}', 2);
  const answers = await Promise.all(
    Array.from({ length: 6 }, () =>
      served.client.completions.create({
        ...{ model: "tiny:code", prompt: "def", max_tokens: 8, temperature: 0 },
      }),
    ),
  );
  t.is(new Set(answers.map(({ choices }) => choices[0]!.text)).size, 1);
  t.is(await served.metric('seap_expert_hits_total{expert="code"}'), 6);
});

test("when one engine dies the other goes on answering, and it comes back", async (t) => {
  const served = await serve(t, twoEngines, { worker: fragileWorker });
  const { client, url } = served;
  const question = { prompt: "Tell me", max_tokens: 8, temperature: 0, seed: 1 };
  const before = await complete(served, question);
  const die = client.completions.create({ model: "tiny", ...question, stop: [deadly] });
  await t.throwsAsync(die, { message: /^503 The engine failed/ });
  t.is((await fetch(`${url}/ready`)).status, 200);
  t.is(await complete(served, question), before);
  await served.untilMetric("seap_engine_restarts_total", 1);
  await served.untilMetric("seap_engines", 2);
  t.is(await complete(served, question), before);
});
