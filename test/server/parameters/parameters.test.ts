import test from "ava";
import type { SamplingParams } from "../../../engine/contract/request.ts";
import {
  knownInChat,
  knownInCompletions,
  knownInResponses,
} from "../../../server/parameters/known-parameters.ts";
import { chatSchema, completionSchema } from "../../../server/generation/request-schemas.ts";
import { responsesSchema } from "../../../server/responses/request-schema.ts";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

const messages = [{ role: "user" as const, content: "Hi" }];
const chat = "/v1/chat/completions";

interface ErrorReply {
  readonly error: {
    readonly message: string;
    readonly param: string | null;
    readonly code: string;
  };
}

test("parameters that are absent have the OpenAI defaults", async (t) => {
  const { post, engine } = await startServer(t);
  await post(chat, { messages });
  const { sampling, maxTokens, stop, ignoreEos } = engine.requests[0]!;
  const { seed, ...rest } = sampling;
  t.true(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32);
  t.deepEqual(rest, {
    temperature: 1,
    topP: 1,
    topK: 0,
    minP: 0,
    repetitionPenalty: 1,
    repetitionWindow: Infinity,
    frequencyPenalty: 0,
    presencePenalty: 0,
    logitBias: [],
  });
  t.is(maxTokens, 256 - 2);
  t.deepEqual(stop, []);
  t.false(ignoreEos);
});

test("parameters that are given reach the engine", async (t) => {
  const { post, engine } = await startServer(t);
  await post(chat, {
    messages,
    temperature: 0.7,
    top_p: 0.9,
    top_k: 40,
    min_p: 0.05,
    seed: 7,
    repetition_penalty: 1.1,
    frequency_penalty: -0.5,
    presence_penalty: 0.5,
    logit_bias: { "12": -100, "3": 5 },
    stop: "END",
    ignore_eos: true,
    max_tokens: 5,
  });
  const { sampling, maxTokens, stop, ignoreEos } = engine.requests[0]!;
  t.deepEqual<SamplingParams, SamplingParams>(sampling, {
    temperature: 0.7,
    topP: 0.9,
    topK: 40,
    minP: 0.05,
    seed: 7,
    repetitionPenalty: 1.1,
    repetitionWindow: Infinity,
    frequencyPenalty: -0.5,
    presencePenalty: 0.5,
    logitBias: [
      [3, 5],
      [12, -100],
    ],
  });
  t.deepEqual([maxTokens, stop, ignoreEos], [5, ["END"], true]);
});

test("D25: max_completion_tokens is the limit, and wins over max_tokens", async (t) => {
  const { client, engine } = await startServer(t);
  await client.chat.completions.create({ model: "fake", messages, max_completion_tokens: 3 });
  const both = { model: "fake", messages, max_completion_tokens: 1, max_tokens: 9 };
  const answer = await client.chat.completions.create(both);
  t.deepEqual(
    engine.requests.map(({ maxTokens }) => maxTokens),
    [3, 1],
  );
  t.is(answer.usage?.completion_tokens, 1);
});

for (const field of ["max_tokens", "max_completion_tokens"]) {
  for (const limit of [0, -2]) {
    test(`D26: ${field} ${limit} is refused with 400 naming the field`, async (t) => {
      const { post } = await startServer(t);
      const response = await post(chat, { messages, [field]: limit });
      t.is(response.status, 400);
      const { error } = (await response.json()) as ErrorReply;
      t.is(error.param, field);
      t.regex(error.message, new RegExp(`^${field}: .*got ${limit}`));
    });
  }
}

test("D27: unknown fields are ignored and logged once by name", async (t) => {
  const { post, logLines } = await startServer(t);
  for (let i = 0; i < 2; i++) {
    t.is(
      (await post(chat, { messages, frobnicate: { a: 1 }, user: "u", metadata: {} })).status,
      200,
    );
  }
  t.is(logLines.filter((line) => line.includes('field="frobnicate"')).length, 1);
  t.false(logLines.some((line) => line.includes('field="user"')));
});

for (const [path, required, { shape }, known] of [
  [chat, { messages }, chatSchema, knownInChat],
  ["/v1/completions", { prompt: "Hi" }, completionSchema, knownInCompletions],
  ["/v1/responses", { input: "Hi" }, responsesSchema, knownInResponses],
] as const) {
  test(`D28: null is the same as absent for every optional field of ${path}`, async (t) => {
    const { post, engine } = await startServer(t);
    // What is refused by name, and what nobody knows, may be null too.
    const fields = [...Object.keys(shape), ...Object.keys(known), "frobnicate"];
    t.true(fields.length > 30);
    const nulls = Object.fromEntries(fields.map((field) => [field, null]));
    t.is((await post(path, { ...nulls, ...required, seed: 1 })).status, 200);
    t.is((await post(path, { ...required, seed: 1 })).status, 200);
    const [first, second] = engine.requests.map((request) => ({ ...request, id: "" }));
    t.deepEqual(first, second);
  });
}

test("D28: null inside a message or an option is the same as absent", async (t) => {
  const { post } = await startServer(t);
  const body = {
    messages: [
      { role: "user", content: "Hi", name: null },
      { role: "assistant", content: null, name: null, tool_calls: null },
      { role: "user", content: "Hi" },
    ],
    stream: true,
    stream_options: { include_usage: null },
  };
  t.is((await post(chat, body)).status, 200);
});

test("D29: zero is a value", async (t) => {
  const { post, engine } = await startServer(t);
  const zeros = {
    temperature: 0,
    seed: 0,
    presence_penalty: 0,
    frequency_penalty: 0,
    top_logprobs: 0,
  };
  t.is((await post(chat, { messages, ...zeros })).status, 200);
  const { sampling } = engine.requests[0]!;
  t.deepEqual([sampling.temperature, sampling.seed], [0, 0]);
});

test("D30: n gives that many choices, indexed from 0, each with its own seed", async (t) => {
  const { client, engine } = await startServer(t);
  engine.script = ({ sampling }) => ({ steps: [`seed ${sampling.seed}`, "", "!"] });
  const request = { model: "fake", messages, n: 3, seed: 4_294_967_295 };
  const whole = await client.chat.completions.create(request);
  const texts = ["seed 4294967295!", "seed 0!", "seed 1!"];
  t.deepEqual(
    whole.choices.map(({ index, message }) => [index, message.content]),
    texts.map((text, index) => [index, text]),
  );
  t.deepEqual([whole.usage?.prompt_tokens, whole.usage?.completion_tokens], [2, 9]);

  const streamed = ["", "", ""];
  const stream = await client.chat.completions.create({ ...request, stream: true });
  const reasons: string[] = [];
  for await (const { choices } of stream) {
    for (const { index, delta, finish_reason } of choices) {
      streamed[index] += delta.content ?? "";
      if (finish_reason !== null) reasons.push(`${index} ${finish_reason}`);
    }
  }
  t.deepEqual(streamed, texts);
  t.deepEqual(reasons.sort(), ["0 stop", "1 stop", "2 stop"]);
});

test("more choices than a request may have are refused", async (t) => {
  const { post } = await startServer(t);
  const response = await post(chat, { messages, n: 17 });
  t.is(((await response.json()) as ErrorReply).error.param, "n");
});

test("D31: a logit_bias outside the vocabulary is refused with 400 and the server stays up", async (t) => {
  const { post } = await startServer(t);
  const response = await post(chat, { messages, logit_bias: { "1000": 1 } });
  t.is(response.status, 400);
  t.is(((await response.json()) as ErrorReply).error.param, "logit_bias");
  t.is((await post(chat, { messages, logit_bias: { "999": 1 } })).status, 200);
});

test("D33: requests with the same seed get the same engine seed, those without get different ones", async (t) => {
  const { post, engine } = await startServer(t);
  for (const seed of [5, 5, undefined, undefined, -1]) await post(chat, { messages, seed });
  const [a, b, c, d, e] = engine.requests.map(({ sampling }) => sampling.seed);
  t.is(a, b);
  t.not(c, d);
  t.is(e, 2 ** 32 - 1);
});

test("D42 E10: a prompt that does not fit is refused with both counts, in OpenAI's words", async (t) => {
  const { client, engine } = await startServer(t);
  const long = [{ role: "user" as const, content: "x".repeat(300) }];
  const error = await t.throwsAsync(
    client.chat.completions.create({ model: "fake", messages: long }),
  );
  t.like(error, { status: 400, code: "context_length_exceeded", param: "messages" });
  t.regex(
    error.message,
    /^400 This model's maximum context length is 256 tokens\. .*300 in the prompt/,
  );
  t.is(engine.requests.length, 0);
});

test("D42: an explicit limit that does not fit beside the prompt is refused", async (t) => {
  const { client } = await startServer(t);
  const request = { model: "fake", messages, max_completion_tokens: 255 };
  const error = await t.throwsAsync(client.chat.completions.create(request));
  t.like(error, { code: "context_length_exceeded", param: "max_completion_tokens" });
});

test("a prompt that fills the context but for one token is answered with one token", async (t) => {
  const { client } = await startServer(t);
  const long = [{ role: "user" as const, content: "x".repeat(255) }];
  const answer = await client.chat.completions.create({ model: "fake", messages: long });
  t.is(answer.choices[0]?.finish_reason, "length");
  t.deepEqual(answer.usage?.total_tokens, 256);
});

const unsupported: readonly (readonly [field: string, value: unknown])[] = [
  ["functions", [{ name: "f" }]],
  ["audio", { voice: "x" }],
  ["modalities", ["audio"]],
  ["chat_template", "{{ messages }}"],
];

for (const [field, value] of unsupported) {
  test(`${field} ${JSON.stringify(value)} is refused: ignoring it would change the answer`, async (t) => {
    const { post } = await startServer(t);
    const response = await post(chat, { messages, [field]: value });
    t.is(response.status, 400);
    const { error } = (await response.json()) as ErrorReply;
    t.deepEqual([error.code, error.param], ["unsupported_parameter", field]);
  });
}

test("parameters at the value that changes nothing are accepted", async (t) => {
  const { post } = await startServer(t);
  const neutral = {
    tools: [{ type: "function", function: { name: "f" } }],
    tool_choice: "none",
    response_format: { type: "text" },
    logprobs: false,
    modalities: ["text"],
  };
  t.is((await post(chat, { messages, ...neutral })).status, 200);
});

const tool = (name: string, property?: object) => ({
  type: "function",
  function: {
    name,
    ...(property && { parameters: { type: "object", properties: { a: property } } }),
  },
});

const jsonSchema = (schema: object) => ({
  response_format: { type: "json_schema", json_schema: { name: "x", schema } },
});

const invalid: readonly (readonly [param: string, body: object])[] = [
  ["messages", {}],
  ["messages", { messages: [] }],
  ["messages", { messages: "Hi" }],
  ["messages[0]", { messages: ["Hi"] }],
  ["messages[0].role", { messages: [{ role: "robot", content: "Hi" }] }],
  ["messages[0].content", { messages: [{ role: "user", content: null }] }],
  ["messages[0].content", { messages: [{ role: "user" }] }],
  ["temperature", { messages, temperature: -1 }],
  ["temperature", { messages, temperature: "hot" }],
  ["top_p", { messages, top_p: 1.5 }],
  ["stop", { messages, stop: 1 }],
  ["stop", { messages, stop: Array.from({ length: 17 }, String) }],
  ["seed", { messages, seed: 1.5 }],
  ["presence_penalty", { messages, presence_penalty: 3 }],
  ["repetition_penalty", { messages, repetition_penalty: 0 }],
  ["logit_bias.hello", { messages, logit_bias: { hello: 1 } }],
  ["stream", { messages, stream: "yes" }],
  [
    "tools[0].function.name",
    { messages, tools: [{ type: "function", function: { name: "a b" } }] },
  ],
  ["tools[1].function.name", { messages, tools: [tool("f"), tool("f")] }],
  [
    "tools[0].function.parameters.properties.a",
    { messages, tools: [tool("f", { type: "float" })] },
  ],
  ["tool_choice", { messages, tool_choice: "required" }],
  ["tool_choice", { messages, tools: [tool("f")], tool_choice: "sometimes" }],
  ["tool_choice.function.name", { messages, tools: [tool("f")], tool_choice: tool("g") }],
  [
    "response_format.json_schema.schema",
    { messages, tools: [tool("f")], ...jsonSchema({ type: "float" }) },
  ],
  ["response_format", { messages, response_format: "text" }],
  ["response_format.json_schema.schema", { messages, ...jsonSchema({ type: "float" }) }],
  [
    "response_format.json_schema.schema.items",
    { messages, ...jsonSchema({ items: { type: "float" } }) },
  ],
  ["guided_regex", { messages, guided_regex: "(?=a)" }],
  ["guided_json", { messages, guided_json: "{" }],
  ["guided_json", { messages, guided_json: {}, response_format: { type: "json_object" } }],
  ["structured_outputs.grammar", { messages, structured_outputs: { grammar: "root ::= x" } }],
  ["structured_outputs.choice", { messages, structured_outputs: { choice: [] } }],
  ["structured_outputs.structural_tag", { messages, structured_outputs: { structural_tag: "{}" } }],
  ["logprobs", { messages, logprobs: 5 }],
  ["top_logprobs", { messages, top_logprobs: 2 }],
  ["chat_template_kwargs", { messages, chat_template_kwargs: { a: "x".repeat(4000) } }],
  ["chat_template_kwargs.messages", { messages, chat_template_kwargs: { messages: [] } }],
  [
    "continue_final_message",
    { messages, add_generation_prompt: true, continue_final_message: true },
  ],
  ["top_logprobs", { messages, logprobs: true, top_logprobs: 21 }],
];

for (const [param, body] of invalid) {
  test(`the invalid body ${JSON.stringify(body).slice(0, 60)} is refused naming ${param}`, async (t) => {
    const { post } = await startServer(t);
    const response = await post(chat, body);
    t.is(response.status, 400);
    const { error } = (await response.json()) as ErrorReply;
    t.is(error.code, "invalid_request");
    t.true(error.param === param || error.param?.startsWith(`${param}[`), error.message);
  });
}

test("top_p 0 keeps the most likely token alone", async (t) => {
  const { post, engine } = await startServer(t, { engine: new FakeEngine() });
  await post(chat, { messages, top_p: 0 });
  t.true(engine.requests[0]!.sampling.topP > 0);
});

test("prompts share what is kept of them, unless the request says no or has a salt of its own", async (t) => {
  const { post, engine } = await startServer(t);
  await post(chat, { messages });
  await post(chat, { messages, cache_salt: "tenant" });
  await post(chat, { messages, cache_prompt: false });
  t.deepEqual(
    engine.requests.map(({ cacheSalt }) => cacheSalt),
    ["", "tenant", undefined],
  );
  const reply = (await (await post(chat, { messages, cache_salt: "" })).json()) as ErrorReply;
  t.is(reply.error.param, "cache_salt");
});
