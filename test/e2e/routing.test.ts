import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { openModel } from "../../model/weights/open-model.ts";
import { numTrunkFeatures } from "../../router/features.ts";
import { fitClusterRouter } from "../../router/fit-clusters.ts";
import { fitLogisticRouter } from "../../router/fit-logistic.ts";
import { routerFile } from "../../router/router-file.ts";
import { parseConfig } from "../../server/config/config.ts";
import { loadModel } from "../../server/model/load-model.ts";
import { createLog } from "../../server/base/log.ts";
import type { LoadedModel } from "../../server/model/model-service.ts";
import { centerAt, rowsAround } from "../helpers/feature-groups.ts";
import { oneTaskRouter } from "../helpers/one-task-router.ts";
import { serveModel } from "../helpers/serve-model.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

let folder: string;
let modelPath: string;
let model: { readonly contentHash: string; readonly hiddenSize: number };

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  modelPath = join(folder, "tiny.gguf");
  writeTinyGguf(modelPath);
  const { weights } = await openModel(modelPath);
  weights.close();
  model = { contentHash: weights.contentHash, hiddenSize: weights.config.hiddenSize };
});

test.after.always(() => rmSync(folder, { recursive: true }));

function writeRouter(name: string, router: Parameters<typeof routerFile>[0]): string {
  const path = join(folder, `${name}.safetensors`);
  writeFileSync(path, Buffer.concat(routerFile(router)));
  return path;
}

function tasksOf(numFeatures: number): Map<string, Float32Array[]> {
  return new Map([
    ["math", rowsAround(centerAt(0, 8, numFeatures), 40, { seed: 1 })],
    ["code", rowsAround(centerAt(1, 8, numFeatures), 40, { seed: 2 })],
  ]);
}

function fitted(contentHash: string) {
  const tasks = tasksOf(numTrunkFeatures(model.hiddenSize));
  return fitClusterRouter({ tasks, background: new Map() }, { model: contentHash });
}

/** Loads the model as the server does, where that is expected to fail. */
function load(...args: string[]): Promise<LoadedModel> {
  const { config } = parseConfig({ args: ["--model", modelPath, ...args], env: {} });
  return loadModel(
    config,
    createLog("silent", () => undefined),
  );
}

const messages = [{ role: "user" as const, content: "What is 3 + 4?" }];

test("a router of a file decides on chats and raw prompts, streamed or not", async (t) => {
  const router = writeRouter("one-task", oneTaskRouter("math", model.hiddenSize));
  const served = await serveModel(["--model", modelPath, "--router", router]);
  t.teardown(() => served.stop());
  const { chat, completions } = served.client;
  const params = { model: "tiny", max_tokens: 2 };
  const answers = [
    await chat.completions.create({ ...params, messages, n: 2 }).withResponse(),
    await completions.create({ ...params, prompt: "3 + 4 =" }).withResponse(),
  ];
  const expected = {
    task: "math",
    expert: "dense",
    confidence: 1,
    reason: "matched",
    route: "matched",
  };
  for (const { data, response } of answers) {
    t.is(response.headers.get("x-seap-task"), "math");
    t.is(response.headers.get("x-seap-reason"), "matched");
    t.deepEqual((data as unknown as { seap: unknown }).seap, expected);
  }
  const { data, response } = await chat.completions
    .create({ ...params, messages, stream: true })
    .withResponse();
  t.is(response.headers.get("x-seap-task"), "math");
  let last: unknown;
  for await (const chunk of data) last = chunk;
  t.deepEqual((last as { seap: unknown }).seap, expected);
  t.is(await served.metric('seap_routing_decisions_total{task="math",reason="matched"}'), 4);
});

test("routing changes no answer, and the same prompt always gets the same decision", async (t) => {
  const router = writeRouter("clusters", fitted(model.contentHash));
  const served = await serveModel(["--model", modelPath, "--router", router]);
  t.teardown(() => served.stop());
  const unrouted = await serveModel(["--model", modelPath, "--router", "off"]);
  t.teardown(() => unrouted.stop());
  const ask = async ({ client }: typeof served, content: string) => {
    const { data, response } = await client.chat.completions
      .create({
        model: "tiny",
        messages: [{ role: "user", content }],
        max_tokens: 12,
        temperature: 0,
      })
      .withResponse();
    const seap = ["task", "confidence", "reason"].map((name) =>
      response.headers.get(`x-seap-${name}`),
    );
    return { text: data.choices[0]!.message.content, seap };
  };
  const prompts = Array.from({ length: 6 }, (_, i) => `${i} and ${"so on ".repeat(20 * i)}?`);
  const together = await Promise.all(prompts.map((prompt) => ask(served, prompt)));
  for (const [i, prompt] of prompts.entries()) {
    t.deepEqual(await ask(served, prompt), together[i]);
    const { text, seap } = await ask(unrouted, prompt);
    t.is(text, together[i]!.text);
    t.deepEqual(seap, ["none", "0", "no-router"]);
  }
});

test("a router that does not fit the model, or none at all, is a message at start", async (t) => {
  const start = (router: string) => load("--router", router);
  await t.throwsAsync(start(writeRouter("other", fitted("0123456789abcdef"))), {
    message: /other\.safetensors: was fitted for another model .* seap router fit\.$/,
  });
  const logistic = fitLogisticRouter(
    { tasks: tasksOf(model.hiddenSize) },
    { model: model.contentHash },
  );
  await t.throwsAsync(start(writeRouter("logistic", logistic)), {
    message: /logistic\.safetensors: decides by input embeddings/,
  });
  await t.throwsAsync(start(join(folder, "nowhere")), { message: /nowhere/ });
  await t.throwsAsync(start(modelPath), { message: /tiny\.gguf/ });
});

test("a rule for a task that the router does not know is a message at start", async (t) => {
  const router = writeRouter("rules", oneTaskRouter("math", model.hiddenSize));
  const rules = [{ when: { keyword: "x" }, task: "poetry" }];
  await t.throwsAsync(load("--router", router, "--routing", JSON.stringify({ rules })), {
    message: /^routing: rules\.0\.task: expected one of math, none, .* got "poetry"\.$/,
  });
});

test("D55: a follow-up that alone would go elsewhere stays with its conversation", async (t) => {
  const router = writeRouter("sticky", fitted(model.contentHash));
  const serve = async (margin: number) => {
    const flags = ["--router", router, "--sticky-margin", String(margin), "--experts", "off"];
    const served = await serveModel(["--model", modelPath, ...flags]);
    t.teardown(() => served.stop());
    return async (...contents: string[]) => {
      const turns = contents.map((content, i) => {
        return { role: i % 2 === 0 ? ("user" as const) : ("assistant" as const), content };
      });
      const params = { model: "tiny", messages: turns, max_tokens: 1, temperature: 0 };
      const { response } = await served.client.chat.completions.create(params).withResponse();
      return ["task", "reason"].map((name) => response.headers.get(`x-seap-${name}`));
    };
  };
  const [one, next] = ["Hi", "List three primes."];
  const alone = await serve(0);
  t.deepEqual(await alone(one), ["math", "matched"]);
  t.deepEqual(await alone(one, "Hello", next), ["code", "matched"]);
  const together = await serve(1000);
  t.deepEqual(await together(one), ["math", "matched"]);
  t.deepEqual(await together(one, "Hello", next), ["math", "sticky"]);
  t.deepEqual(await together("Ho", "Hello", next), ["code", "matched"]);
});
