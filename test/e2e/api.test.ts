import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ResponseUsage } from "openai/resources/responses/responses";
import { serveModel, type ServedModel } from "../helpers/serve-model.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";
import { writeTinyRouter } from "../helpers/tiny-router.ts";

let folder: string;
let served: ServedModel;

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  const path = join(folder, "tiny.gguf");
  writeTinyGguf(path);
  const routerPath = join(folder, "router.safetensors");
  await writeTinyRouter(routerPath, path, ["math", "code"]);
  served = await serveModel(["--model", path, "--router", routerPath, "--prefill-chunk", "32"]);
});

test.after.always(async () => {
  await served.stop();
  rmSync(folder, { recursive: true });
});

const model = "tiny";
const messages = [
  { role: "system" as const, content: "Be brief." },
  { role: "user" as const, content: "Tell me <|im_end|> something." },
];

async function post<Answer>(path: string, body: object): Promise<Answer> {
  const response = await fetch(`${served.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.status !== 200) throw new Error(`${path}: ${await response.text()}`);
  return (await response.json()) as Answer;
}

interface Tokens {
  readonly count: number;
  readonly tokens: readonly number[];
}

test("text comes back from its tokens, whole or piece by piece", async (t) => {
  for (const prompt of ["", "Hello", "Ünïcödé 😀 and   spaces\n", "<|im_start|>user"]) {
    const { tokens } = await post<Tokens>("/tokenize", { prompt });
    t.is((await post<{ prompt: string }>("/detokenize", { tokens })).prompt, prompt);
    const pieces = await post<{ tokens: readonly { piece: string | number[] }[] }>("/tokenize", {
      content: prompt,
      with_pieces: true,
    });
    const bytes = pieces.tokens.map(({ piece }) => Buffer.from(piece as string));
    t.is(Buffer.concat(bytes).toString(), prompt);
  }
});

test("tokens of text and of messages are those that requests are charged for", async (t) => {
  const prompt = "The quick brown fox";
  const { client } = served;
  const completion = await client.completions.create({ model, prompt, max_tokens: 1 });
  t.is((await post<Tokens>("/tokenize", { prompt })).count, completion.usage!.prompt_tokens);
  const chat = await client.chat.completions.create({ model, messages, max_tokens: 1 });
  t.is((await post<Tokens>("/tokenize", { messages })).count, chat.usage!.prompt_tokens);
});

test("a template is applied as the model reads it", async (t) => {
  const { prompt } = await post<{ prompt: string }>("/apply-template", { messages });
  t.is(
    prompt,
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nTell me <|im_end|> something.<|im_end|>\n" +
      "<|im_start|>assistant\n",
  );
  const info = await (await fetch(`${served.url}/tokenizer_info`)).json();
  t.like(info, { eos_token: "<|im_end|>", model_max_length: 32_768 });
});

const sampled = { max_output_tokens: 60, temperature: 1, seed: 5 } as const;

/** Without the tokens that were cached: who comes second finds what the first has left. */
function counts(usage: ResponseUsage | undefined): object {
  const { input_tokens, output_tokens } = usage!;
  return { input_tokens, output_tokens };
}

test("a streamed response says what the whole one does, and what a chat does", async (t) => {
  const { client } = served;
  const params = { model, input: "Tell me something.", instructions: "Be brief.", ...sampled };
  const whole = await client.responses.create(params);
  const streamed = await client.responses.stream(params).finalResponse();
  const chat = await client.chat.completions.create({
    model,
    messages: [
      { role: "system", content: params.instructions },
      { role: "user", content: params.input },
    ],
    max_completion_tokens: 60,
    temperature: 1,
    seed: 5,
  });
  const text = chat.choices[0]?.message.content ?? "";
  t.true(text.length > 0);
  t.is(whole.output_text, text);
  t.is(streamed.output_text, text);
  t.deepEqual(counts(streamed.usage), counts(whole.usage));
  t.is(whole.usage?.input_tokens, chat.usage!.prompt_tokens);
  t.is(whole.usage?.output_tokens, chat.usage?.completion_tokens);
  const isCut = chat.choices[0]?.finish_reason === "length";
  t.is(whole.status, isCut ? "incomplete" : "completed");
});

test("a response that goes on from another reads all that was said", async (t) => {
  const { client } = served;
  const first = await client.responses.create({ model, input: "One", ...sampled });
  const second = await client.responses.create({
    model,
    input: "Two",
    previous_response_id: first.id,
    ...sampled,
  });
  const whole = await client.responses.create({
    model,
    input: [
      { role: "user", content: "One" },
      { role: "assistant", content: first.output_text },
      { role: "user", content: "Two" },
    ],
    store: false,
    ...sampled,
  });
  t.is(second.output_text, whole.output_text);
  t.deepEqual(counts(second.usage), counts(whole.usage));
  await t.throwsAsync(client.responses.retrieve(whole.id), { message: /no response/ });
});

test("a response tells log-probabilities where it is asked to", async (t) => {
  const { output, usage } = await served.client.responses.create({
    model,
    input: "Hi",
    max_output_tokens: 5,
    top_logprobs: 2,
    include: ["message.output_text.logprobs"],
  });
  const [item] = output;
  const [part] = item?.type === "message" ? item.content : [];
  const logprobs = part?.type === "output_text" ? part.logprobs : undefined;
  t.is(logprobs?.length, usage!.output_tokens);
  for (const { logprob, top_logprobs: top } of logprobs ?? []) {
    t.true(logprob <= 0);
    t.is(top.length, 2);
  }
});

test("embeddings are 1 long, the same each time, for text and for its tokens", async (t) => {
  const { client } = served;
  const input = ["The quick brown fox", "jumps over ".repeat(60), "Ünïcödé 😀"];
  const { data, usage } = await client.embeddings.create({ model, input });
  const lists = await Promise.all(
    input.map((prompt) => post<Tokens>("/tokenize", { prompt, parse_special: false })),
  );
  t.is(
    usage.prompt_tokens,
    lists.reduce((sum, { count }) => sum + count, 0),
  );
  const again = await client.embeddings.create({
    model,
    input: lists.map(({ tokens }) => [...tokens]),
    encoding_format: "float",
  });
  for (const [index, { embedding }] of data.entries()) {
    t.is(embedding.length, 64);
    t.true(Math.abs(Math.hypot(...embedding) - 1) < 1e-6);
    t.deepEqual(again.data[index]?.embedding, [...embedding]);
  }
  t.notDeepEqual(data[0]?.embedding, data[1]?.embedding);
});

test("an explained route is the one that an answer gets", async (t) => {
  const route = await post<{
    task: string;
    confidence: number;
    reason: string;
    router: { scores: readonly { task: string; probability: number }[]; nearest: unknown[] };
  }>("/v1/route", { model, messages });
  const { response } = await served.client.chat.completions
    .create({ model, messages, max_tokens: 1 })
    .withResponse();
  t.is(response.headers.get("x-seap-task"), route.task);
  t.is(response.headers.get("x-seap-reason"), route.reason);
  t.is(Number(response.headers.get("x-seap-confidence")), Math.round(route.confidence * 1e4) / 1e4);
  t.deepEqual(route.router.scores.map(({ task }) => task).sort(), ["code", "math"]);
  t.true(route.router.nearest.length > 0);
});

test.serial("D18: a client that leaves ends what is being read for it", async (t) => {
  const input = Array.from({ length: 40 }, (_, i) => `${i} words and more words `.repeat(400));
  const controller = new AbortController();
  const answer = served.client.embeddings.create({ model, input }, { signal: controller.signal });
  await served.untilMetric("seap_requests_running", 1);
  controller.abort();
  await t.throwsAsync(answer);
  await served.untilMetric("seap_requests_running", 0);
  t.is(await served.metric("seap_requests_waiting"), 0);
});
