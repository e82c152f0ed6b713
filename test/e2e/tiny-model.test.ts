import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import OpenAI from "openai";
import { openModel } from "../../model/weights/open-model.ts";
import { createTokenizer } from "../../model/text/tokenizer.ts";
import { serveModel, type ServedModel } from "../helpers/serve-model.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

// The text is noise here, so everything that holds for any text must hold for it.

type CompletionParams = Omit<OpenAI.CompletionCreateParamsNonStreaming, "model">;

let folder: string;
let served: ServedModel;
let countTokens: (text: string) => number;

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  const path = join(folder, "tiny.gguf");
  writeTinyGguf(path);
  const { weights, tokenizer: source } = await openModel(path);
  weights.close();
  const tokenizer = createTokenizer(source);
  countTokens = (text) => tokenizer.encode(text, { parseSpecial: true }).length;
  served = await serveModel(["--model", path, "--max-batch", "6", "--prefill-chunk", "32"]);
});

test.after.always(async () => {
  await served.stop();
  rmSync(folder, { recursive: true });
});

const model = "tiny";
const sampled = { temperature: 1, seed: 7 };
const greedy = { temperature: 0 };

async function complete(params: CompletionParams) {
  const { choices, usage } = await served.client.completions.create({ model, ...params });
  const { text, finish_reason: finishReason } = choices[0]!;
  return { text, finishReason, usage: counts(usage) };
}

/** Without the tokens that were cached: who comes second finds what the first has left. */
function counts(usage: OpenAI.CompletionUsage | undefined): object {
  const { prompt_tokens, completion_tokens, total_tokens } = usage!;
  return { prompt_tokens, completion_tokens, total_tokens };
}

async function streamCompletion(params: CompletionParams) {
  const stream = await served.client.completions.create({
    model,
    ...params,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let finishReason: string | undefined;
  let usage: OpenAI.CompletionUsage | undefined;
  for await (const chunk of stream) {
    const choice = chunk.choices[0];
    text += choice?.text ?? "";
    finishReason = choice?.finish_reason ?? finishReason;
    usage = chunk.usage ?? usage;
  }
  return { text, finishReason, usage: counts(usage) };
}

for (const [name, sampling] of Object.entries({ greedy, sampled })) {
  test(`the deltas of a ${name} stream joined are the whole answer`, async (t) => {
    const params = { prompt: "The quick brown fox", max_tokens: 200, ...sampling };
    const whole = await complete(params);
    t.true(whole.text.length > 0);
    t.deepEqual(await streamCompletion(params), whole);
    t.deepEqual(await complete(params), whole);
  });
}

test("a chat's deltas joined are the whole answer, the first of them says who speaks", async (t) => {
  const params = {
    model,
    messages: [{ role: "user" as const, content: "Tell me something." }],
    max_completion_tokens: 100,
    ...sampled,
  };
  const whole = await served.client.chat.completions.create(params);
  const stream = served.client.chat.completions.stream({ ...params });
  const joined = await stream.finalChatCompletion();
  t.is(joined.choices[0]?.message.content, whole.choices[0]?.message.content);
  t.is(joined.choices[0]?.message.role, "assistant");
  t.is(joined.choices[0]?.finish_reason, whole.choices[0]!.finish_reason);
});

test("D03, D05: a stop string over several tokens ends the text exactly before it, nothing leaks", async (t) => {
  const params = { prompt: "Once upon a time", max_tokens: 150, ...sampled };
  const { text } = await complete(params);
  // Long enough for several tokens; at the end of the answer and in its middle.
  for (const start of [40, Math.floor(text.length / 2), text.length - 12]) {
    const stop = text.slice(start, start + 12);
    t.true(countTokens(stop) > 1);
    const expected = text.slice(0, text.indexOf(stop));
    for (const ask of [complete, streamCompletion]) {
      const stopped = await ask({ ...params, stop: ["never written", stop] });
      t.is(stopped.text, expected);
      t.is(stopped.finishReason, "stop");
    }
  }
});

test("the start of a stop string that does not go on is not lost", async (t) => {
  const params = { prompt: "Once upon a time", max_tokens: 60, ...sampled };
  const { text } = await complete(params);
  const stop = [`${text.slice(20, 30)}\u0000`, `${text.slice(-6)}\u0000`];
  t.is((await complete({ ...params, stop })).text, text);
  t.is((await streamCompletion({ ...params, stop })).text, text);
});

test("D33: 20 parallel requests get what each gets alone", async (t) => {
  const requests = Array.from({ length: 20 }, (_, i): CompletionParams => {
    const prompt = `Question ${i}: ${"why and how ".repeat((i % 5) * 9)}?`;
    const sampling = i % 2 === 0 ? greedy : { temperature: 0.9, top_p: 0.95, seed: i };
    return { prompt, max_tokens: 20 + 7 * i, ...sampling };
  });
  const together = await Promise.all(
    requests.map((params, i) => (i % 3 === 0 ? streamCompletion(params) : complete(params))),
  );
  for (const [i, params] of requests.entries()) t.deepEqual(together[i], await complete(params));
});

test("usage counts exactly the tokens of the prompt and those generated", async (t) => {
  for (const [prompt, maxTokens] of [
    ["a", 1],
    ["Ünïcödé 😀 and a run of   spaces", 17],
    ["word ".repeat(300), 64],
  ] as const) {
    const params = { prompt, max_tokens: maxTokens, ...greedy };
    const expected = {
      prompt_tokens: countTokens(prompt),
      completion_tokens: maxTokens,
      total_tokens: countTokens(prompt) + maxTokens,
    };
    for (const ask of [complete, streamCompletion]) {
      const { usage, finishReason } = await ask(params);
      t.like(usage, expected);
      t.is(finishReason, "length");
    }
  }
});

test("D42: a prompt that does not fit into the context is refused with the counts", async (t) => {
  const prompt = "x y ".repeat(20_000);
  const error = await t.throwsAsync(complete({ prompt }), { instanceOf: OpenAI.BadRequestError });
  t.is(error.code, "context_length_exceeded");
  t.is(error.param, "prompt");
  t.regex(error.message, new RegExp(`\\b32768\\b.*\\b${countTokens(prompt)}\\b`));
});

test("D43: a body of 200 KB is taken", async (t) => {
  const text = "word ".repeat(1000);
  const params = { prompt: text, max_tokens: 2, ...greedy, user: "u".repeat(200_000) };
  t.true(JSON.stringify(params).length > 200_000);
  t.like((await complete(params)).usage, { prompt_tokens: countTokens(text) });
});

test("several choices have several seeds, and each is what its seed gives alone", async (t) => {
  const params = { prompt: "Once", max_tokens: 30, temperature: 1 };
  const { choices } = await served.client.completions.create({ model, ...params, n: 3, seed: 40 });
  const alone = [40, 41, 42].map(async (seed) => (await complete({ ...params, seed })).text);
  t.deepEqual(
    choices.map(({ text }) => text),
    await Promise.all(alone),
  );
  t.is(new Set(choices.map(({ text }) => text)).size, 3);
});

test("E09: what a request says of single tokens holds in each choice, streamed or not", async (t) => {
  const params = { prompt: "Once upon a time", max_tokens: 24, ...sampled };
  const ask = (more: object) => complete({ ...params, ...more });
  const ids = async (text: string) => {
    const body = JSON.stringify({ content: text });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${served.url}/tokenize`, { method: "POST", headers, body });
    return ((await response.json()) as { readonly tokens: readonly number[] }).tokens;
  };
  const [a] = await ids("a");
  const [b] = await ids("b");
  const allowed = { allowed_token_ids: [a, b] };
  const whole = await ask(allowed);
  t.regex(whole.text, /^[ab]{24}$/);
  t.deepEqual(await streamCompletion({ ...params, ...allowed }), whole);
  const { choices } = await served.client.completions.create({
    ...{ model, ...params, ...allowed, n: 3, logprobs: 1 },
  });
  for (const { text, logprobs } of choices) {
    t.regex(text, /^[ab]{24}$/);
    t.deepEqual(logprobs?.tokens?.join(""), text);
  }
  t.is((await ask({ ...allowed, bad_words: ["b"] })).text, "a".repeat(24));
  t.notRegex((await ask({ ...allowed, bad_words: ["aa"] })).text, /aa/);
  t.regex((await ask({ ...allowed, grammar: 'root ::= "b"* "c"?', max_tokens: 5 })).text, /^b{5}$/);
  const refused = await t.throwsAsync(ask({ ...allowed, bad_words: ["a", "b"] }), {
    instanceOf: OpenAI.BadRequestError,
  });
  t.is(refused.code, "no_token_left");

  const first = whole.text.indexOf("b");
  const stopped = await ask({ ...allowed, stop_token_ids: [b] });
  t.like(stopped, { text: whole.text.slice(0, first), finishReason: "stop" });
  const shown = { ...allowed, stop: ["b"], include_stop_str_in_output: true };
  t.is((await ask(shown)).text, whole.text.slice(0, first + 1));
  const min_tokens = first + 3;
  const later = await ask({ ...shown, min_tokens });
  t.is(later.text, whole.text.slice(0, whole.text.indexOf("b", min_tokens) + 1));
});
