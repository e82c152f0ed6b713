import test from "ava";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

const chat = "/v1/chat/completions";

interface ErrorReply {
  readonly error: {
    readonly message: string;
    readonly param: string | null;
    readonly code: string;
  };
}

test("the official client gets a whole chat completion with exact usage", async (t) => {
  const { client } = await startServer(t);
  const answer = await client.chat.completions.create({
    model: "org/fake",
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hi" },
    ],
  });
  t.regex(answer.id, /^chatcmpl-/);
  t.is(answer.object, "chat.completion");
  t.is(answer.model, "org/fake");
  t.deepEqual(answer.choices, [
    {
      index: 0,
      message: { role: "assistant", content: "Hello world", refusal: null },
      logprobs: null,
      finish_reason: "stop",
    },
  ]);
  t.deepEqual(answer.usage, {
    prompt_tokens: 11,
    completion_tokens: 2,
    total_tokens: 13,
    prompt_tokens_details: { cached_tokens: 0 },
  });
});

test("the prompt tokens that were in the prefix cache are in the usage, whole and streamed", async (t) => {
  const engine = new FakeEngine();
  engine.script = () => ({ steps: ["a"], cachedTokens: 1 });
  const { client } = await startServer(t, { engine });
  const messages = [{ role: "user" as const, content: "Hi" }];
  const whole = await client.chat.completions.create({ model: "fake", messages });
  t.is(whole.usage?.prompt_tokens_details?.cached_tokens, 1);
  const stream = await client.chat.completions.create({
    ...{ model: "fake", messages, stream: true },
    stream_options: { include_usage: true },
  });
  let cached: number | undefined;
  for await (const { usage } of stream) cached = usage?.prompt_tokens_details?.cached_tokens;
  t.is(cached, 1);
});

test("twenty requests at once, streamed and whole, each get their own answer", async (t) => {
  const engine = new FakeEngine({ maxBatch: 4 });
  engine.script = ({ promptTokenIds }) => ({
    steps: Array.from(promptTokenIds, (id) => `${String.fromCodePoint(id)}.`),
  });
  const { client } = await startServer(t, { engine });
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const messages = [{ role: "user" as const, content: `number ${i}` }];
      if (i % 2 === 0) {
        const whole = await client.chat.completions.create({ model: "fake", messages });
        return whole.choices[0]?.message.content;
      }
      let text = "";
      const stream = await client.chat.completions.create({
        model: "fake",
        messages,
        stream: true,
      });
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
      return text;
    }),
  );
  t.deepEqual(
    answers,
    Array.from({ length: 20 }, (_, i) => Array.from(`number ${i}`, (c) => `${c}.`).join("")),
  );
  t.is(engine.stats().runningRequests, 0);
});

test("a request without a model is answered by the only one, an alias by the id", async (t) => {
  const { post } = await startServer(t);
  const messages = [{ role: "user", content: "Hi" }];
  for (const model of [undefined, "fake", "org/fake"]) {
    const answer = (await (await post(chat, { messages, model })).json()) as { model: string };
    t.is(answer.model, "org/fake");
  }
});

test("a model that is not served is answered 404 model_not_found", async (t) => {
  const { client } = await startServer(t);
  const messages = [{ role: "user" as const, content: "Hi" }];
  const error = await t.throwsAsync(client.chat.completions.create({ model: "gpt-4", messages }));
  t.like(error, { status: 404, code: "model_not_found", param: "model" });
  t.regex(error.message, /gpt-4.*org\/fake, fake/);
});

test("D22 D23: an assistant message with null content and tool calls is kept, the calls written out where the template does not know them", async (t) => {
  const { client, codec } = await startServer(t);
  const tool_calls = [
    { id: "1", type: "function" as const, function: { name: "f", arguments: "{}" } },
  ];
  await client.chat.completions.create({
    model: "fake",
    messages: [
      { role: "user", content: "Hi" },
      { role: "assistant", content: null, tool_calls },
      { role: "tool", content: "42", tool_call_id: "1" },
    ],
  });
  t.deepEqual(codec.conversations[0], [
    { role: "user", content: "Hi" },
    {
      role: "assistant",
      content: '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>',
    },
    { role: "tool", content: "42", tool_call_id: "1" },
  ]);
});

test("D32: a conversation without any token is refused with 400 and the server stays up", async (t) => {
  const { post } = await startServer(t);
  t.is((await post(chat, { messages: [{ role: "user", content: "" }] })).status, 400);
  t.is((await post(chat, { messages: [{ role: "user", content: "Hi" }] })).status, 200);
});

test("D34: text parts are joined", async (t) => {
  const { post, codec } = await startServer(t);
  const content = [
    { type: "text", text: "one" },
    { type: "text", text: "two" },
  ];
  for (const role of ["system", "user", "assistant", "tool"]) {
    t.is((await post(chat, { messages: [{ role, content }] })).status, 200);
  }
  t.deepEqual([...new Set(codec.conversations.map(([message]) => message?.content))], ["one\ntwo"]);
});

test("D34: a part of another type is refused naming its place", async (t) => {
  const { post } = await startServer(t);
  const content = [
    { type: "text", text: "What is this?" },
    { type: "image_url", image_url: { url: "data:," } },
  ];
  const response = await post(chat, { messages: [{ role: "user", content }] });
  t.is(response.status, 400);
  const { error } = (await response.json()) as ErrorReply;
  t.is(error.param, "messages[0].content[1]");
});

test("D35: a conversation that the chat template refuses is answered 400", async (t) => {
  const { post } = await startServer(t);
  const response = await post(chat, { messages: [{ role: "system", content: "refuse me" }] });
  t.is(response.status, 400);
  t.is(((await response.json()) as ErrorReply).error.code, "chat_template");
});

test("D36: a developer message becomes a system message", async (t) => {
  const { client, codec } = await startServer(t);
  await client.chat.completions.create({
    model: "fake",
    messages: [
      { role: "developer", content: "Be brief." },
      { role: "user", content: "Hi" },
    ],
  });
  t.deepEqual(codec.conversations[0]?.[0], { role: "system", content: "Be brief." });
});
