import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { Spoiler } from "../helpers/malformed.ts";
import { type OpenApi, SchemaChecker } from "../helpers/openapi.ts";
import { openSocket } from "../helpers/open-socket.ts";
import { type ServedModel, serveModel } from "../helpers/serve-model.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

/** Bodies, and frames; SEAP_FUZZ_MESSAGES and SEAP_FUZZ_SEED change what is sent. */
const numMessages = Number(process.env["SEAP_FUZZ_MESSAGES"] ?? 2000);
const seed = Number(process.env["SEAP_FUZZ_SEED"] ?? 2026);
const numClients = 8;
const timeoutMs = 300_000;

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

async function serveTiny(t: ExecutionContext): Promise<ServedModel> {
  const path = join(tempDir(t), "tiny.gguf");
  writeTinyGguf(path);
  const served = await serveModel(["--model", path, "--context-length", "128"]);
  t.teardown(served.stop);
  return served;
}

async function checkIdle(t: ExecutionContext, { url, client, untilMetric }: ServedModel) {
  for (const gauge of ["requests_running", "requests_waiting", "kv_cache_usage_ratio"]) {
    await untilMetric(`seap_${gauge}`, 0);
  }
  t.is((await fetch(`${url}/health`)).status, 200);
  const { choices } = await client.completions.create({
    model: "tiny",
    prompt: "a",
    max_tokens: 1,
  });
  t.is(choices.length, 1);
}

test("no malformed body crashes the server, makes it fail, or leaves anything behind", async (t) => {
  t.timeout(timeoutMs);
  const served = await serveTiny(t);
  const { url } = served;
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as OpenApi;
  const checker = new SchemaChecker(document);
  const endpoints = Object.keys(document.paths).filter(
    (each) => document.paths[each]!["post"]?.requestBody !== undefined,
  );
  const spoiler = new Spoiler(seed);
  const statuses = new Map<number, number>();
  let left = numMessages;

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
  await checkIdle(t, served);
});

/** A connection ends at a frame that is no UTF-8, or after this many. */
const framesPerSocket = 100;

test("no malformed frame crashes the server, makes it fail, or leaves anything behind", async (t) => {
  t.timeout(timeoutMs);
  const served = await serveTiny(t);
  const spoiler = new Spoiler(seed);
  const messageOf = (type: string, endpoint: string, id: string) => {
    return { type, id, body: { ...spoiler.pick(bodies[endpoint]!), stream: true } };
  };
  const ends = new Map<string, number>();
  const count = (end: string) => ends.set(end, (ends.get(end) ?? 0) + 1);

  let left = numMessages;
  async function client(): Promise<void> {
    while (left > 0) {
      const { ws, send, events, closed } = await openSocket(t, served.url);
      let isOpen = true;
      void closed.then(() => (isOpen = false));
      for (let frame = 0; frame < framesPerSocket && isOpen && left > 0; frame++, left--) {
        const id = String(spoiler.below(10));
        const message = spoiler.pick([
          () => messageOf("chat", "/v1/chat/completions", id),
          () => messageOf("completion", "/v1/completions", id),
          () => ({ type: "cancel", id }),
          () => ({ type: "auth", api_key: "a" }),
        ])();
        // Answers that run meanwhile are ended by what is malformed, or go on beside it.
        const isWhole = spoiler.below(5) === 0;
        const data = isWhole ? JSON.stringify(message) : spoiler.spoil(message);
        ws.send(data, { binary: !isWhole && spoiler.below(20) === 0 });
        // An answer to a ping tells that all before it has been read.
        if (frame % 10 === 9) {
          const pong = new Promise((resolve) => ws.once("pong", resolve));
          ws.ping();
          await Promise.race([pong, closed]);
        }
      }
      if (isOpen) {
        send({ type: "ping" });
        ws.close();
      }
      count(`closed with ${(await closed).code}`);
      for (const event of events) {
        if (event.type !== "done" && event.type !== "error") continue;
        count(event.type === "done" ? "done" : String(event.status));
        if (event.type === "error") t.true(event.status < 500, JSON.stringify(event));
      }
    }
  }
  await Promise.all(Array.from({ length: numClients }, client));

  t.log(Object.fromEntries(ends));
  await served.untilMetric("seap_websocket_connections", 0);
  t.is(await served.metric('seap_request_errors_total{code="internal"}'), undefined);
  await checkIdle(t, served);
});
