import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { Spoiler } from "../helpers/malformed.ts";
import { type OpenApi, SchemaChecker } from "../helpers/openapi.ts";
import { serveModel } from "../helpers/serve-model.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

const numBodies = 2000;
const numClients = 8;

const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: [{ type: "text", text: "Hi" }] },
  { role: "assistant", content: "Hello", tool_calls: [] },
  { role: "user", content: "Who are you?" },
];
const sampling = {
  model: "tiny",
  max_tokens: 4,
  temperature: 0.7,
  top_p: 0.9,
  top_k: 20,
  min_p: 0.1,
  seed: 3,
  n: 2,
  stop: ["a", "b"],
  logit_bias: { "5": 1 },
  stream_options: { include_usage: true },
  user: "someone",
};

/** Bodies that are valid before they are spoilt; an endpoint that is not here begins with an empty one. */
const bodies: Readonly<Record<string, readonly object[]>> = {
  "/v1/chat/completions": [
    { ...sampling, messages },
    { ...sampling, messages, stream: true },
  ],
  "/v1/completions": [
    { ...sampling, prompt: ["a b", "c"] },
    { ...sampling, prompt: [[1, 2], [3]], stream: true },
  ],
  "/v1/responses": [
    {
      model: "tiny",
      input: "Hi",
      instructions: "Be brief.",
      max_output_tokens: 4,
      metadata: { a: "b" },
      text: { format: { type: "text" } },
      stream: true,
    },
    {
      input: [
        { role: "user", content: [{ type: "input_text", text: "Hi" }] },
        { type: "function_call", call_id: "1", name: "f", arguments: "{}" },
        { type: "function_call_output", call_id: "1", output: "3" },
      ],
      max_output_tokens: 4,
      store: false,
      include: [],
    },
  ],
  "/v1/embeddings": [
    { model: "tiny", input: ["a b", "c"], encoding_format: "base64", dimensions: 8 },
    { input: [[1, 2], [3]] },
  ],
  "/v1/route": [{ model: "tiny", messages }, { prompt: "a b" }],
  "/tokenize": [
    { prompt: "a b", add_special_tokens: false },
    { messages, with_pieces: true },
  ],
  "/detokenize": [{ model: "tiny", tokens: [1, 2, 3] }],
  "/apply-template": [{ messages, add_generation_prompt: false }],
};

test("no malformed body crashes the server, makes it fail, or leaves anything behind", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "tiny.gguf");
  writeTinyGguf(path);
  const { url, untilMetric, stop } = await serveModel(["--model", path, "--context-length", "128"]);
  t.teardown(stop);

  const document = (await (await fetch(`${url}/openapi.json`)).json()) as OpenApi;
  const checker = new SchemaChecker(document);
  const endpoints = Object.keys(document.paths).filter(
    (each) => document.paths[each]!["post"]?.requestBody !== undefined,
  );
  const spoiler = new Spoiler(2026);
  const statuses = new Map<number, number>();
  let left = numBodies;

  async function client(): Promise<void> {
    while (left-- > 0) {
      const endpoint = spoiler.pick(endpoints);
      const body = spoiler.spoil(spoiler.pick(bodies[endpoint] ?? [{}]));
      const response = await fetch(`${url}${endpoint}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: new Uint8Array(body),
      });
      const text = await response.text();
      const { status } = response;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      const told = `${endpoint} ${body.toString("latin1").slice(0, 300)}: ${status} ${text.slice(0, 300)}`;
      if (status >= 500 || (status !== 200 && status < 400)) t.fail(told);
      if (status >= 400) t.is(checker.problemOf("Error", JSON.parse(text)), null, told);
      else t.false(text.includes('"server_error"'), told);
    }
  }
  await Promise.all(Array.from({ length: numClients }, client));

  t.log(Object.fromEntries(statuses));
  for (const gauge of ["requests_running", "requests_waiting", "kv_cache_usage_ratio"]) {
    await untilMetric(`seap_${gauge}`, 0);
  }
  t.is((await fetch(`${url}/health`)).status, 200);
  const answer = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "a", max_tokens: 1 }),
  });
  t.is(answer.status, 200);
});
