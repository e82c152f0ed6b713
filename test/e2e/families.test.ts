import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import type OpenAI from "openai";
import { openTokenizer } from "../../model/weights/open-model.ts";
import { createTokenizer } from "../../model/text/tokenizer.ts";
import { llama32Template } from "../helpers/family-templates.ts";
import { serveModel } from "../helpers/serve-model.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

// The model's logits are noise: what it says follows from its template and from the grammar.

const messages = [{ role: "user" as const, content: "Go on." }];

/** A tiny model that is served with a template of a family. */
async function serveTiny(t: ExecutionContext, template: string) {
  const path = join(tempDir(t), "tiny.gguf");
  writeTinyGguf(path, {}, { "tokenizer.chat_template": template });
  const tokenizer = createTokenizer(openTokenizer(path));
  const served = await serveModel(["--model", path]);
  t.teardown(() => served.stop());
  const biases = (texts: readonly string[], bias: number) =>
    Object.fromEntries(texts.map((text) => [tokenizer.tokenId(text)!, bias]));
  return { ...served, biases };
}

test("a model of Llama's form is held to it where a tool must be called, and may say anything else", async (t) => {
  const { client, biases } = await serveTiny(t, llama32Template);
  const parameters = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
  const tools = ["f", "g"].map((name) => ({
    type: "function" as const,
    function: { name, parameters },
  }));
  const ask = async (body: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>) => {
    const params = { model: "tiny", messages, tools, temperature: 0, max_tokens: 200, ...body };
    const { choices } = await client.chat.completions.create({ ...params, stream: false });
    const stream = client.chat.completions.stream({ ...params, stream: true });
    const joined = (await stream.finalChatCompletion()).choices[0]!;
    t.is(joined.message.content || null, choices[0]!.message.content || null);
    return choices[0]!;
  };
  const closing = biases(["}"], 8);
  for (const seed of [1, 2, 3]) {
    const body = { tool_choice: "required" as const, parallel_tool_calls: false };
    const { message, finish_reason } = await ask({
      ...body,
      seed,
      temperature: 1,
      logit_bias: closing,
    });
    t.is(finish_reason, "tool_calls");
    t.is(message.tool_calls?.length, 1);
    for (const call of message.tool_calls ?? []) {
      if (call.type !== "function") continue;
      const { a } = JSON.parse(call.function.arguments) as { a: number };
      t.true(Number.isInteger(a));
    }
  }
  const { message } = await ask({ max_tokens: 20 });
  t.is(message.tool_calls, undefined);
  t.true(message.content!.length > 0);
});

test("a model whose template begins the reasoning says nothing else until it has ended it", async (t) => {
  const { client } = await serveTiny(
    t,
    "{% for message in messages %}{{ message.content }}\n{% endfor %}" +
      "{% if add_generation_prompt %}<think>\n{% endif %}",
  );
  const params = { model: "tiny", messages, temperature: 0, max_tokens: 12 };
  const { choices, usage } = await client.chat.completions.create(params);
  const message = choices[0]!.message as OpenAI.ChatCompletionMessage & {
    readonly reasoning_content?: string;
  };
  t.is(message.content, "");
  t.true(message.reasoning_content!.length > 0);
  t.is(usage?.completion_tokens_details?.reasoning_tokens, 12);
  const plain = { ...params, reasoning_format: "none" };
  const raw = (await client.chat.completions.create(plain)).choices[0]!.message.content!;
  t.is(raw.trim(), message.reasoning_content!);
});
