import test from "ava";
import type OpenAI from "openai";
import { createChatTemplate, type ChatTemplate } from "../../model/text/chat-template.ts";
import { openModel } from "../../model/weights/open-model.ts";
import { resolveModel } from "../../model/source/source.ts";
import { createTokenizer, type Tokenizer } from "../../model/text/tokenizer.ts";
import { serveModel, type ServedModel } from "../helpers/serve-model.ts";

type Params = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "model" | "messages">;

let served: ServedModel;
let tokenizer: Tokenizer;
let template: ChatTemplate;

test.before(async (t) => {
  t.timeout(300_000, "the model may have to be downloaded");
  const { path } = await resolveModel("default");
  const { weights, tokenizer: source } = await openModel(path);
  weights.close();
  tokenizer = createTokenizer(source);
  template = createChatTemplate(source, tokenizer);
  served = await serveModel(["--context-length", "1024"]);
});

test.after.always(() => served.stop());

const model = "SmolLM2-135M-Instruct";

/** The template's own system prompt leaves a model of this size undecided about Paris. */
function conversation(content: string) {
  return [
    { role: "system" as const, content: "You are a helpful assistant." },
    { role: "user" as const, content },
  ];
}

async function chat(prompt: string, params: Params) {
  const { choices, usage } = await served.client.chat.completions.create({
    model,
    messages: conversation(prompt),
    ...params,
  });
  return { text: choices[0]!.message.content!, finishReason: choices[0]!.finish_reason, usage };
}

async function streamChat(prompt: string, params: Params) {
  const stream = await served.client.chat.completions.create({
    model,
    messages: conversation(prompt),
    ...params,
    stream: true,
  });
  const deltas: string[] = [];
  for await (const chunk of stream) deltas.push(chunk.choices[0]?.delta.content ?? "");
  return { text: deltas.join(""), deltas };
}

test("the capital of France is Paris, and usage counts every token of it", async (t) => {
  const prompt = "What is the capital of France?";
  const { text, finishReason, usage } = await chat(prompt, { temperature: 0 });
  t.regex(text, /Paris/);
  t.is(finishReason, "stop");
  const promptIds = template.encode(conversation(prompt), { addGenerationPrompt: true });
  const answerIds = tokenizer.encode(text, { parseSpecial: false, addBos: false });
  t.like(usage, {
    prompt_tokens: promptIds.length,
    // The end-of-turn token has no text.
    completion_tokens: answerIds.length + 1,
    total_tokens: promptIds.length + answerIds.length + 1,
  });
  t.is((await streamChat(prompt, { temperature: 0 })).text, text);
});

test("a sampled answer is the same each time for its seed, streamed or not", async (t) => {
  const params = { temperature: 0.8, top_p: 0.9, max_tokens: 40 };
  const { text } = await chat("Write a line of poetry.", { ...params, seed: 1 });
  t.is((await chat("Write a line of poetry.", { ...params, seed: 1 })).text, text);
  t.is((await streamChat("Write a line of poetry.", { ...params, seed: 1 })).text, text);
  t.not((await chat("Write a line of poetry.", { ...params, seed: 2 })).text, text);
});

test("D01: emoji whose bytes lie in several tokens are streamed whole", async (t) => {
  for (const prompt of [
    "Reply with five different emoji",
    "Repeat these emoji: 🦜 🦥 🧿 🪁 🪗",
    "Repeat this text: 안녕하세요 세계, 你好世界, שלום עולם",
  ]) {
    for (const params of [
      { temperature: 0, max_tokens: 48 },
      { temperature: 1, seed: 3, max_tokens: 48 },
    ]) {
      const whole = await chat(prompt, params);
      const { text, deltas } = await streamChat(prompt, params);
      t.is(text, whole.text);
      if (!whole.text.includes("\uFFFD")) t.false(deltas.join("").includes("\uFFFD"));
      t.false(deltas.some((delta) => /\p{Surrogate}/u.test(delta)));
    }
  }
});

test("D03, D06: nothing of a stop string is sent, nor the text of the end-of-turn token", async (t) => {
  const prompt = "ABCDEFGHIJKLMNOPQRSTUVWXYZ is the alphabet. Here it is again: ABC";
  const params = { model, prompt, temperature: 0, max_tokens: 40 };
  const { choices } = await served.client.completions.create(params);
  const text = choices[0]!.text;
  t.true(text.startsWith("DEFGHIJ"));
  const stream = await served.client.completions.create({
    ...params,
    stop: "HIJKLM",
    stream: true,
  });
  const pieces: string[] = [];
  for await (const chunk of stream) pieces.push(chunk.choices[0]?.text ?? "");
  t.is(pieces.join(""), "DEFG");
  const { deltas } = await streamChat("Say hi.", { temperature: 0 });
  t.false(deltas.join("").includes("<|"));
});

test("D33: 20 parallel requests are answered as each is alone", async (t) => {
  const params = (i: number): Params => ({
    max_tokens: 8 + (i % 4) * 4,
    ...(i % 2 === 0 ? { temperature: 0 } : { temperature: 0.8, seed: i }),
  });
  const prompts = Array.from(
    { length: 20 },
    (_, i) => `What is ${i} times ${i + 1}?${" Think well.".repeat(i % 3)}`,
  );
  const together = await Promise.all(prompts.map((prompt, i) => chat(prompt, params(i))));
  for (const [i, prompt] of prompts.entries()) {
    t.deepEqual(together[i], await chat(prompt, params(i)));
  }
});

test("D42: a conversation beyond the context is refused with the counts", async (t) => {
  const prompt = "What then? ".repeat(2000);
  const promptTokens = template.encode(conversation(prompt), { addGenerationPrompt: true }).length;
  const error = await t.throwsAsync(chat(prompt, {}));
  t.like(error, { status: 400, code: "context_length_exceeded" });
  t.regex(error.message, new RegExp(`\\b1024\\b.*\\b${promptTokens}\\b`));
});
