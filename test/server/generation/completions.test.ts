import test from "ava";
import type OpenAI from "openai";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

const path = "/v1/completions";

function echoing(): FakeEngine {
  const engine = new FakeEngine();
  engine.script = ({ promptTokenIds }) => ({ steps: [`<${promptTokenIds.join(" ")}>`] });
  return engine;
}

test("the official client gets a whole completion", async (t) => {
  const { client } = await startServer(t);
  const answer = await client.completions.create({ model: "fake", prompt: "Once" });
  t.regex(answer.id, /^cmpl-/);
  t.is(answer.object, "text_completion");
  t.deepEqual(answer.choices, [
    { index: 0, text: "Hello world", logprobs: null, finish_reason: "stop" },
  ]);
  t.is(answer.usage?.prompt_tokens, 4);
});

test("the official client streams a completion, usage in a last chunk without choices", async (t) => {
  const { client } = await startServer(t);
  const stream = await client.completions.create({
    model: "fake",
    prompt: "Once",
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  t.deepEqual(
    chunks.map(({ choices }) => choices.map(({ text, finish_reason }) => [text, finish_reason])),
    [[["Hello", null]], [[" world", null]], [["", "stop"]], []],
  );
  t.is(chunks.at(-1)?.usage?.total_tokens, 6);
});

test("D40: a prompt is a string, strings, token ids or lists of token ids", async (t) => {
  const { client } = await startServer(t, { engine: echoing() });
  const prompts = [
    ["A", ["<65>"]],
    [
      ["A", "BC"],
      ["<65>", "<66 67>"],
    ],
    [[1, 2], ["<1 2>"]],
    [
      [[1, 2], [3]],
      ["<1 2>", "<3>"],
    ],
  ] as const;
  for (const [prompt, expected] of prompts) {
    const request = { model: "fake", prompt: prompt as unknown as string };
    const { choices } = await client.completions.create(request);
    t.deepEqual(
      choices.map(({ index, text }) => [index, text]),
      expected.map((text, index) => [index, text]),
    );
  }
});

for (const [body, param] of [
  [{ max_tokens: 0 }, "max_tokens"],
  [{ max_tokens: -2 }, "max_tokens"],
  [{ max_tokens: -2, echo: true }, "max_tokens"],
] as const) {
  test(`D26: a completion with ${JSON.stringify(body)} is refused with 400 naming ${param}`, async (t) => {
    const { post, engine } = await startServer(t);
    const response = await post(path, { prompt: "A", ...body });
    t.is(response.status, 400);
    t.like(await response.json(), { error: { param } });
    t.is(engine.requests.length, 0);
  });
}

test("D53: cached_tokens is a number in every kind of usage, 0 where nothing was cached", async (t) => {
  const { client } = await startServer(t);
  const model = "fake";
  const messages = [{ role: "user" as const, content: "Hi" }];
  const chat = await client.chat.completions.create({ model, messages });
  t.is(chat.usage?.prompt_tokens_details?.cached_tokens, 0);
  const whole = await client.completions.create({ model, prompt: "Hi" });
  t.is(whole.usage?.prompt_tokens_details?.cached_tokens, 0);
  const response = await client.responses.create({ model, input: "Hi" });
  t.is(response.usage?.input_tokens_details.cached_tokens, 0);
  const options = { stream: true, stream_options: { include_usage: true } } as const;
  for (const stream of [
    await client.chat.completions.create({ model, messages, ...options }),
    await client.completions.create({ model, prompt: "Hi", ...options }),
  ]) {
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) usage = chunk.usage;
    t.is(usage?.prompt_tokens_details?.cached_tokens, 0);
  }
});

test("the choices of several prompts follow each other, and each prompt's tokens count once", async (t) => {
  const { client } = await startServer(t, { engine: echoing() });
  const request = { model: "fake", prompt: ["A", "BC"], n: 2 };
  const { choices, usage } = await client.completions.create(request);
  t.deepEqual(
    choices.map(({ text }) => text),
    ["<65>", "<65>", "<66 67>", "<66 67>"],
  );
  t.deepEqual([usage?.prompt_tokens, usage?.completion_tokens], [3, 4]);
});

for (const prompt of [
  undefined,
  "",
  [],
  [""],
  [[]],
  [1, "A"],
  [1.5],
  [-1],
  [1000],
  [2 ** 32 + 1],
  {},
]) {
  test(`D32: the prompt ${JSON.stringify(prompt)} is refused with 400 and the server stays up`, async (t) => {
    const { post } = await startServer(t);
    const response = await post(path, { prompt });
    t.is(response.status, 400);
    const { error } = (await response.json()) as { error: { param: string } };
    t.is(error.param, "prompt");
    t.is((await post(path, { prompt: "A" })).status, 200);
  });
}

test("without a limit a completion has at most 16 tokens, and never passes the context", async (t) => {
  const { post, engine } = await startServer(t);
  await post(path, { prompt: "A" });
  await post(path, { prompt: "A".repeat(250) });
  t.deepEqual(
    engine.requests.map(({ maxTokens }) => maxTokens),
    [16, 6],
  );
});

test("more prompts than may wait are refused instead of never being admitted", async (t) => {
  const { post } = await startServer(t, { engine: new FakeEngine({ maxWaitingRequests: 4 }) });
  t.is((await post(path, { prompt: ["A", "B", "C"], n: 2 })).status, 400);
});

for (const [field, value] of [
  ["suffix", "end"],
  ["best_of", 3],
] as const) {
  test(`${field} ${JSON.stringify(value)} is refused`, async (t) => {
    const { post } = await startServer(t);
    const response = await post(path, { prompt: "A", [field]: value });
    const { error } = (await response.json()) as { error: { code: string; param: string } };
    t.deepEqual([error.code, error.param], ["unsupported_parameter", field]);
  });
}

test("what vllm bench and guidellm send is accepted", async (t) => {
  const { post } = await startServer(t);
  const body = {
    model: "fake",
    prompt: "A",
    repetition_penalty: 1,
    max_tokens: 5,
    logprobs: null,
    stop: null,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
  };
  t.is((await post(path, body)).status, 200);
});
