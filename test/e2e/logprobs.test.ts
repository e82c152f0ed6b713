import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type OpenAI from "openai";
import { serveModel, type ServedModel } from "../helpers/serve-model.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

let folder: string;
let served: ServedModel;

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  const path = join(folder, "tiny.gguf");
  writeTinyGguf(path);
  served = await serveModel(["--model", path, "--max-batch", "4", "--prefill-chunk", "16"]);
});

test.after.always(async () => {
  await served.stop();
  rmSync(folder, { recursive: true });
});

const model = "tiny";
const messages = [{ role: "user" as const, content: "Tell me something." }];

type CompletionParams = Omit<OpenAI.CompletionCreateParamsNonStreaming, "model">;

async function complete(params: CompletionParams) {
  const { choices, usage } = await served.client.completions.create({ model, ...params });
  return { ...choices[0]!, usage: usage! };
}

async function streamCompletion(params: CompletionParams) {
  const stream = await served.client.completions.create({ model, ...params, stream: true });
  let text = "";
  const logprobs: OpenAI.CompletionChoice.Logprobs = {
    text_offset: [],
    token_logprobs: [],
    tokens: [],
    top_logprobs: [],
  };
  for await (const { choices } of stream) {
    const [choice] = choices;
    text += choice?.text ?? "";
    for (const [name, values] of Object.entries(choice?.logprobs ?? {})) {
      (logprobs[name as keyof typeof logprobs] as unknown[]).push(...(values as unknown[]));
    }
  }
  return { text, logprobs };
}

test("D37: each token of a chat has its log-probability, and no others where none are asked for", async (t) => {
  const params = { model, messages, max_completion_tokens: 12, temperature: 0 };
  const plain = await served.client.chat.completions.create(params);
  t.is(plain.choices[0]!.logprobs, null);
  const { choices, usage } = await served.client.chat.completions.create({
    ...params,
    logprobs: true,
  });
  const content = choices[0]!.logprobs!.content!;
  t.is(content.length, usage!.completion_tokens);
  t.true(content.every(({ logprob, top_logprobs: top }) => logprob <= 0 && top.length === 0));
  t.is(choices[0]!.message.content, plain.choices[0]!.message.content);
});

test("the bytes of a chat's tokens are its text, and greedy tokens are the most likely ones", async (t) => {
  const { choices } = await served.client.chat.completions.create({
    model,
    messages,
    max_completion_tokens: 30,
    temperature: 0,
    logprobs: true,
    top_logprobs: 3,
    // A model of noise may end here; whether it does depends on the processor.
    ...{ skip_special_tokens: false, include_stop_str_in_output: true },
  });
  const content = choices[0]!.logprobs!.content!;
  const bytes = Buffer.from(content.flatMap((token) => token.bytes ?? []));
  t.is(new TextDecoder().decode(bytes), choices[0]!.message.content!);
  for (const { token, logprob, top_logprobs: top } of content) {
    t.is(top.length, 3);
    t.like(top[0], { token, logprob });
    t.true(top[0]!.logprob >= top[1]!.logprob && top[1]!.logprob >= top[2]!.logprob);
  }
});

test("log-probabilities are the model's own, whatever sampling does with them", async (t) => {
  const read = async (more: object) => {
    const { choices } = await served.client.chat.completions.create({
      model,
      messages,
      max_completion_tokens: 1,
      logprobs: true,
      top_logprobs: 5,
      seed: 3,
      ...more,
    });
    return choices[0]!.logprobs!.content![0]!.top_logprobs;
  };
  t.deepEqual(await read({ temperature: 0.3, top_p: 0.5, logit_bias: { 7: 100 } }), await read({}));
});

test("streamed log-probabilities joined are those of the whole chat, also with held back text", async (t) => {
  const params = { model, messages, max_completion_tokens: 40, seed: 5, logprobs: true };
  const plain = await served.client.chat.completions.create({ ...params, top_logprobs: 2 });
  const stop = [`${plain.choices[0]!.message.content!.slice(-8)}\u0000`];
  const whole = await served.client.chat.completions.create({ ...params, top_logprobs: 2, stop });
  const stream = served.client.chat.completions.stream({ ...params, top_logprobs: 2, stop });
  const joined = await stream.finalChatCompletion();
  t.deepEqual(joined.choices[0]!.logprobs!.content, whole.choices[0]!.logprobs!.content);
  t.is(joined.choices[0]!.message.content, whole.choices[0]!.message.content);
});

test("D38: echo with logprobs tells of the prompt's tokens and of the new ones, the first is null", async (t) => {
  const params = { prompt: "The quick brown fox jumps over it", max_tokens: 1, temperature: 0 };
  const answer = await complete({ ...params, logprobs: 1, echo: true });
  const { prompt_tokens: promptTokens } = answer.usage;
  const {
    tokens,
    token_logprobs: values,
    top_logprobs: tops,
    text_offset: offsets,
  } = answer.logprobs!;
  t.true(promptTokens > 16, "several chunks of the prefill");
  for (const list of [tokens, values, tops, offsets]) t.is(list!.length, promptTokens + 1);
  // The client's types know no null here.
  t.is<unknown, null>(values![0], null);
  t.true(values!.slice(1).every((value) => value < 0));
  t.is(answer.text, params.prompt + (await complete(params)).text);
  for (const [i, token] of tokens!.entries()) {
    if (!token.startsWith("bytes:")) t.true(answer.text.startsWith(token, offsets![i]));
  }
  t.is(Math.max(...Object.values(tops!.at(-1)!)), values!.at(-1)!, "the greedy token");
});

test("what echo tells of a token does not depend on what follows it", async (t) => {
  const read = async (prompt: string) => {
    const { logprobs } = await complete({ prompt, max_tokens: 1, logprobs: 2, echo: true });
    return logprobs!.token_logprobs!;
  };
  const [short, long] = [
    await read("one two three four five"),
    await read("one two three four five six seven"),
  ];
  for (const i of [1, 5, 10]) t.true(Math.abs(short[i]! - long[i]!) < 1e-4);
});

test("D39: max_tokens 0 with echo tells of the prompt alone", async (t) => {
  const params = { prompt: "Just this.", max_tokens: 0, echo: true };
  const answer = await complete({ ...params, logprobs: 0 });
  t.is(answer.text, "Just this.");
  t.is(answer.finish_reason, "length");
  t.is(answer.usage.completion_tokens, 0);
  t.is(answer.logprobs!.tokens!.length, answer.usage.prompt_tokens);
  t.is(answer.logprobs!.tokens!.join(""), "Just this.");
  t.is((await complete(params)).text, "Just this.");
  const error = await t.throwsAsync(complete({ prompt: "x", max_tokens: 0 }));
  t.like(error, { status: 400, param: "max_tokens" });
});

test("a batch of token id prompts is echoed as lm-eval reads it", async (t) => {
  const prompts = [
    [5, 6, 7],
    [8, 9, 10, 11],
  ];
  const { choices } = await served.client.completions.create({
    model,
    prompt: prompts,
    max_tokens: 1,
    temperature: 0,
    logprobs: 1,
    echo: true,
    seed: 1234,
  });
  for (const [i, prompt] of prompts.entries()) {
    t.is(choices[i]!.index, i);
    t.is(choices[i]!.logprobs!.token_logprobs!.length, prompt.length + 1);
  }
});

test("streamed completions with logprobs and echo joined are the whole one", async (t) => {
  for (const echo of [false, true]) {
    const params = { prompt: "Once upon a time", max_tokens: 25, seed: 9, logprobs: 2, echo };
    const { text, logprobs } = await complete(params);
    t.deepEqual(await streamCompletion(params), { text, logprobs });
  }
});

test("continuous_usage_stats counts the tokens in every chunk", async (t) => {
  const stream = await served.client.completions.create({
    model,
    prompt: "Once",
    max_tokens: 5,
    seed: 1,
    stream: true,
    ignore_eos: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
  } as OpenAI.CompletionCreateParamsStreaming);
  const counts: number[] = [];
  for await (const { usage } of stream) counts.push(usage!.completion_tokens);
  t.is(counts[0], 1);
  t.deepEqual(
    counts,
    counts.toSorted((a, b) => a - b),
  );
  t.is(counts.at(-1), 5);
});
