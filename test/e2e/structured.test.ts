import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import test from "ava";
import OpenAI from "openai";
import { zodResponseFormat, zodFunction } from "openai/helpers/zod";
import { z } from "zod";
import { openModel } from "../../model/weights/open-model.ts";
import { createTokenizer } from "../../model/text/tokenizer.ts";
import { randomSchema } from "../helpers/random-schema.ts";
import { serveModel, type ServedModel } from "../helpers/serve-model.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

// The model's logits are noise: only the grammar makes its text what it must be.

let folder: string;
let served: ServedModel;
/** Makes strings and lists come to an end. */
let closing: Record<string, number>;
/** Makes the text go on with an a where it can. */
let goingOn: Record<string, number>;
/** Makes the text come to an end where it can. */
let ending: Record<string, number>;

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  const path = join(folder, "tiny.gguf");
  writeTinyGguf(path);
  const { weights, tokenizer: source } = await openModel(path);
  weights.close();
  const tokenizer = createTokenizer(source);
  const ids = ['"', "}", "]"].map((text) => tokenizer.tokenId(text)!);
  ending = { [tokenizer.eosTokenId!]: 8 };
  goingOn = { [tokenizer.tokenId("a")!]: 100 };
  closing = Object.fromEntries(ids.map((id) => [id, 8]));
  served = await serveModel(["--model", path, "--max-batch", "8"]);
});

test.after.always(async () => {
  await served.stop();
  rmSync(folder, { recursive: true });
});

const model = "tiny";
const messages = [{ role: "user" as const, content: "Go on." }];
const ajv = new Ajv2020({ strict: false, validateFormats: false });

type ChatParams = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "model" | "messages">;

function chat(params: ChatParams & Record<string, unknown>) {
  return served.client.chat.completions.create({ model, messages, ...params });
}

function jsonSchema(schema: Record<string, unknown>): OpenAI.ResponseFormatJSONSchema {
  return { type: "json_schema", json_schema: { name: "x", strict: true, schema } };
}

test("D41: answers validate for 200 random schemas, or were cut off and say so", async (t) => {
  let numStopped = 0;
  const ask = async (seed: number) => {
    const schema = randomSchema(seed);
    const { choices } = await chat({
      response_format: jsonSchema(schema),
      max_completion_tokens: seed % 4 === 0 ? 10 : 160,
      seed,
      logit_bias: closing,
      n: seed % 10 === 0 ? 2 : 1,
    });
    for (const { message, finish_reason: reason } of choices) {
      if (reason === "length") continue;
      numStopped++;
      t.is(reason, "stop");
      const text = message.content!;
      if (!ajv.validate(schema, JSON.parse(text))) t.fail(`${JSON.stringify(schema)}: ${text}`);
    }
  };
  for (let seed = 0; seed < 200; seed += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, i) => ask(seed + i)));
  }
  t.true(numStopped > 80, `${numStopped} came to an end`);
});

test("a streamed answer is the same text, with ignore_eos too", async (t) => {
  const response_format = jsonSchema(randomSchema(3));
  for (const more of [{}, { ignore_eos: true }]) {
    const params = { response_format, seed: 1, logit_bias: closing, max_tokens: 200, ...more };
    const whole = await chat(params);
    const stream = served.client.chat.completions.stream({ model, messages, ...params });
    const joined = await stream.finalChatCompletion();
    t.is(joined.choices[0]!.message.content, whole.choices[0]!.message.content);
    t.is(joined.choices[0]!.finish_reason, whole.choices[0]!.finish_reason);
  }
});

test("D04: under a grammar too a stop string ends the text exactly before it, streamed or not", async (t) => {
  for (const [form, stop] of [
    [{ guided_regex: "[ab]{5}\\nUser: [cd]{5}" }, "\nUser:"],
    [{ response_format: jsonSchema({ const: { a: "alpha beta gamma" } }) }, "beta gamma"],
  ] as const) {
    const params = { ...form, max_tokens: 100, seed: 6 };
    const text = (await chat(params)).choices[0]!.message.content!;
    const expected = text.slice(0, text.indexOf(stop));
    t.true(expected.length > 4);
    const { choices } = await chat({ ...params, stop });
    t.is(choices[0]!.message.content, expected);
    t.is(choices[0]!.finish_reason, "stop");
    const stream = served.client.chat.completions.stream({ model, messages, ...params, stop });
    const joined = await stream.finalChatCompletion();
    t.is(joined.choices[0]!.message.content, expected);
  }
});

test("json_object is an object", async (t) => {
  const answer = await chat({
    response_format: { type: "json_object" },
    logit_bias: closing,
    seed: 2,
    max_tokens: 400,
  });
  t.is(answer.choices[0]!.finish_reason, "stop");
  const value: unknown = JSON.parse(answer.choices[0]!.message.content!);
  t.true(typeof value === "object" && value !== null && !Array.isArray(value));
});

test("the client parses what a zod schema describes", async (t) => {
  const event = z.object({
    name: z.string(),
    kind: z.enum(["talk", "walk"]),
    people: z.array(z.object({ age: z.int().min(0).max(120) })).max(3),
    note: z.string().nullable(),
  });
  const { choices } = await served.client.chat.completions.parse({
    model,
    messages,
    response_format: zodResponseFormat(event, "event"),
    logit_bias: closing,
    seed: 5,
    max_tokens: 300,
  });
  const { parsed } = choices[0]!.message;
  t.true(["talk", "walk"].includes(parsed!.kind));
});

for (const [name, field, pattern] of [
  [
    "a regular expression",
    { structured_outputs: { regex: "[ab]{3}-\\d{1,5}x" } },
    /^[ab]{3}-\d{1,5}x$/,
  ],
  [
    "a choice",
    { structured_outputs: { choice: ["yes", "no", "not at all"] } },
    /^(yes|no|not at all)$/,
  ],
  ["a grammar", { structured_outputs: { grammar: 'root ::= "<" [xy]{1,4} ">"' } }, /^<[xy]{1,4}>$/],
  ["guided_choice", { guided_choice: ["left", "right"] }, /^(left|right)$/],
  ["llama.cpp's grammar", { grammar: 'root ::= ("ping" | "pong") "!"' }, /^p[io]ng!$/],
  ["llama.cpp's json_schema", { json_schema: { type: "boolean" } }, /^(true|false)$/],
  ["guided_json as a text", { guided_json: '{"const": [1, "a"]}' }, /^\[1, "a"\]$/],
] as const) {
  test(`${name} is kept to in chats and completions`, async (t) => {
    const params = { ...field, max_tokens: 100, seed: 4 };
    const answer = await chat(params);
    t.regex(answer.choices[0]!.message.content!, pattern);
    t.is(answer.choices[0]!.finish_reason, "stop");
    const { choices } = await served.client.completions.create({
      model,
      prompt: "Go on.",
      ...params,
    } as OpenAI.CompletionCreateParamsNonStreaming);
    t.regex(choices[0]!.text, pattern);
  });
}

test("log-probabilities of a grammar's tokens are still the model's own", async (t) => {
  const { choices } = await chat({
    guided_choice: ["yes"],
    logprobs: true,
    top_logprobs: 1,
  });
  const content = choices[0]!.logprobs!.content!;
  t.true(content.some(({ logprob, top_logprobs: [top] }) => logprob < top!.logprob));
});

const tools = [
  {
    type: "function" as const,
    function: {
      name: "get_weather",
      parameters: {
        type: "object",
        properties: {
          city: { enum: ["Bern", "Oslo"] },
          days: { type: "integer", minimum: 1, maximum: 5 },
        },
        required: ["city", "days"],
        additionalProperties: false,
      },
    },
  },
  { type: "function" as const, function: { name: "now" } },
];

test("required tools are called with valid arguments, and a stream tells the same", async (t) => {
  for (let seed = 0; seed < 8; seed++) {
    const params = {
      tools,
      tool_choice: "required" as const,
      seed,
      max_tokens: 400,
      parallel_tool_calls: seed % 2 === 0,
      logit_bias: ending,
    };
    const whole = await chat(params);
    const [choice] = whole.choices;
    t.is(choice!.finish_reason, "tool_calls");
    t.is(choice!.message.content, null);
    const calls = choice!.message.tool_calls!;
    if (!params.parallel_tool_calls) t.is(calls.length, 1);
    for (const call of calls) {
      if (call.type !== "function") return t.fail();
      const { name, arguments: args } = call.function;
      const { parameters } = tools.find((tool) => tool.function.name === name)!.function as {
        parameters?: object;
      };
      t.true(ajv.validate(parameters ?? { const: {} }, JSON.parse(args)), args);
    }
    const stream = served.client.chat.completions.stream({ model, messages, ...params });
    const joined = await stream.finalChatCompletion();
    const named = (list: typeof calls) =>
      list.map((call) => call.type === "function" && [call.function.name, call.function.arguments]);
    t.deepEqual(named(joined.choices[0]!.message.tool_calls!), named(calls));
    t.is(joined.choices[0]!.finish_reason, "tool_calls");
  }
});

test("D20 D21: each delta of a call has its index, the first one id, type and name", async (t) => {
  const stream = await served.client.chat.completions.create({
    model,
    messages,
    tools,
    tool_choice: { type: "function", function: { name: "get_weather" } },
    stream: true,
  });
  const deltas: OpenAI.ChatCompletionChunk.Choice.Delta.ToolCall[] = [];
  let reason: string | null = null;
  for await (const { choices } of stream) {
    deltas.push(...(choices[0]?.delta.tool_calls ?? []));
    reason = choices[0]?.finish_reason ?? reason;
  }
  t.like(deltas[0], {
    index: 0,
    type: "function",
    function: { name: "get_weather", arguments: "" },
  });
  t.regex(deltas[0]!.id!, /^call_/);
  t.true(deltas.length > 2);
  for (const delta of deltas.slice(1)) {
    t.is(delta.index, 0);
    t.is(delta.id, undefined);
    t.is(delta.function!.name, undefined);
  }
  t.is(reason, "tool_calls");
});

test("D14: a call that is cut off finishes with length", async (t) => {
  const { choices } = await chat({ tools, tool_choice: "required", max_tokens: 12 });
  t.is(choices[0]!.finish_reason, "length");
});

test("D24: tool_choice none calls nothing, and its text is not taken for a call", async (t) => {
  const text = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>';
  const { choices } = await chat({ tools, tool_choice: "none", guided_choice: [text] });
  t.is(choices[0]!.message.content, text);
  t.is(choices[0]!.message.tool_calls, undefined);
  t.is(choices[0]!.finish_reason, "stop");
});

test("with tools that need not be called a text stays a text", async (t) => {
  const params = { seed: 3, max_tokens: 30, ignore_eos: true };
  const { choices } = await chat({ tools, ...params });
  t.is(choices[0]!.finish_reason, "length");
  t.true(choices[0]!.message.content!.length > 0);
});

test("the client runs zod tools with parsed arguments", async (t) => {
  const { choices } = await served.client.chat.completions.parse({
    model,
    messages,
    tools: [zodFunction({ name: "add", parameters: z.object({ a: z.int(), b: z.int() }) })],
    tool_choice: "required",
    parallel_tool_calls: false,
    max_tokens: 200,
  });
  const [call] = choices[0]!.message.tool_calls!;
  const { a, b } = call!.function.parsed_arguments as { a: number; b: number };
  t.true(Number.isInteger(a) && Number.isInteger(b));
});

test("requests that are cancelled while a grammar holds them leave nothing behind", async (t) => {
  for (let i = 0; i < 20; i++) {
    const stream = await served.client.chat.completions.create({
      model,
      messages,
      guided_regex: `[a-z]{${900 + i}}`,
      stream: true,
    } as OpenAI.ChatCompletionCreateParamsStreaming);
    // Leaving the iteration ends the connection.
    await stream[Symbol.asyncIterator]().next();
    stream.controller.abort();
  }
  await served.untilMetric("seap_requests_running", 0);
  t.pass();
});

test("D41: a schema that cannot be enforced is refused before anything is sent", async (t) => {
  const schema = { type: "object", properties: { a: { type: "array", uniqueItems: true } } };
  const error = await t.throwsAsync(chat({ response_format: jsonSchema(schema), stream: false }), {
    instanceOf: OpenAI.BadRequestError,
  });
  t.is(error.param, "response_format.json_schema.schema.properties.a");
  t.regex(error.message, /uniqueItems is not supported/);
});

test("grammars that mean harm cost their own answers at most", async (t) => {
  const doubling = Array.from({ length: 20 }, (_, i) => `r${i} ::= r${i + 1} "x" | r${i + 1} "y"`);
  const grammar = `root ::= r0\n${doubling.join("\n")}\nr20 ::= "z"`;
  const hostile = chat({
    grammar: 'root ::= "a" root? root? root?',
    logit_bias: goingOn,
    max_tokens: 200,
  });
  const failed = t.throwsAsync(hostile, { message: /leaves too many ways open/ });
  const [doubled, ordinary] = await Promise.all([
    chat({ grammar, max_tokens: 60 }),
    chat({ structured_outputs: { regex: "[a-z]{4}" } }),
  ]);
  t.regex(doubled.choices[0]!.message.content!, /^z[xy]{20}$/);
  t.regex(ordinary.choices[0]!.message.content!, /^[a-z]{4}$/);
  await failed;
  const large = chat({ structured_outputs: { regex: "^((x{1,90}){1,90}){1,90}$" } });
  await t.throwsAsync(large, { message: /structured_outputs\.regex: The grammar is too large/ });
});
