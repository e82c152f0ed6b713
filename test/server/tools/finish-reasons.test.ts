import test from "ava";
import type OpenAI from "openai";
import { callText } from "../../../server/tools/tool-call-text.ts";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

type Params = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "model" | "messages" | "stream">;

const request = { model: "fake", messages: [{ role: "user" as const, content: "Hi" }] };
const tools = ["now", "get_weather"].map((name) => ({
  type: "function" as const,
  function: { name },
}));
const text = `Let me see.\n${callText("now", "{}")}\n${callText("get_weather", '{"city": "Bern"}')}`;

/** A model that writes this, four characters a token. */
function writing(answer: string): FakeEngine {
  const engine = new FakeEngine({ contextLength: 10_000 });
  engine.script = () => ({ steps: answer.match(/[^]{1,4}/g) ?? [] });
  return engine;
}

/** Finish reason and calls, of the whole answer and of its stream put together. */
async function ask({ client }: { readonly client: OpenAI }, params: Params) {
  const whole = await client.chat.completions.create({ ...request, ...params });
  const stream = client.chat.completions.stream({ ...request, ...params });
  const joined = await stream.finalChatCompletion();
  return [whole, joined].map(({ choices: [choice] }) => ({
    reason: choice!.finish_reason,
    calls: (choice!.message.tool_calls ?? []).map((call) =>
      call.type === "function" ? [call.function.name, call.function.arguments] : [],
    ),
  }));
}

test("D14: an answer that is cut off in a call finishes with length, whatever it has called before", async (t) => {
  const server = await startServer(t, { engine: writing(text) });
  // In the first call, between the two, and in the second.
  for (const written of ['"arguments": {', "</tool_call>\n<tool", '"city": "Be']) {
    const max_tokens = Math.ceil((text.indexOf(written) + written.length) / 4);
    for (const { reason, calls } of await ask(server, { tools, max_tokens })) {
      t.is(reason, "length");
      t.is(calls[0]?.[0], "now");
      t.is(calls.length, written.includes("city") ? 2 : 1);
    }
  }
});

test("D16: an answer with whole calls finishes with tool_calls, without one with stop", async (t) => {
  const server = await startServer(t, { engine: writing(text) });
  for (const answer of await ask(server, { tools })) {
    t.deepEqual(answer, {
      reason: "tool_calls",
      calls: [
        ["now", "{}"],
        ["get_weather", '{"city": "Bern"}'],
      ],
    });
  }
  server.engine.script = () => ({ steps: ["Just text."] });
  for (const answer of await ask(server, { tools })) {
    t.deepEqual(answer, { reason: "stop", calls: [] });
  }
});

test("D20 D21: each delta has its call's index, the first of a call id, type and name, the others arguments alone", async (t) => {
  const { client } = await startServer(t, { engine: writing(text) });
  const stream = await client.chat.completions.create({ ...request, tools, stream: true });
  const calls: OpenAI.ChatCompletionChunk.Choice.Delta.ToolCall[][] = [];
  for await (const { choices } of stream) {
    for (const delta of choices[0]?.delta.tool_calls ?? []) {
      t.true(Number.isInteger(delta.index));
      (calls[delta.index] ??= []).push(delta);
    }
  }
  t.is(calls.length, 2);
  for (const [index, [first, ...others]] of calls.entries()) {
    t.like(first, { type: "function", function: { name: tools[index]!.function.name } });
    t.regex(first!.id!, /^call_/);
    t.true(others.length > 0);
    for (const delta of others) {
      t.deepEqual(Object.keys(delta).sort(), ["function", "index"]);
      t.deepEqual(Object.keys(delta.function!), ["arguments"]);
    }
  }
  t.not(calls[0]![0]!.id, calls[1]![0]!.id);
});

test("E06: tools beside a form of the text give calls, or the text; required ones calls alone", async (t) => {
  const server = await startServer(t, { engine: writing(text.slice(text.indexOf("<tool_call>"))) });
  const response_format = { type: "json_object" as const };
  for (const { reason, calls } of await ask(server, { tools, response_format })) {
    t.is(reason, "tool_calls");
    t.deepEqual(calls.length, 2);
  }
  const form = `{"a": "${callText("now", "{}")}"}`;
  server.engine.script = () => ({ steps: form.match(/[^]{1,4}/g) ?? [] });
  for (const answer of await ask(server, { tools, response_format })) {
    t.deepEqual(answer, { reason: "stop", calls: [] });
  }
  const whole = await server.client.chat.completions.create({ ...request, tools, response_format });
  t.is(whole.choices[0]?.message.content, form);
  const tool_choice = "required" as const;
  await server.client.chat.completions.create({ ...request, tools, tool_choice });
  await server.client.chat.completions.create({ ...request, tools, tool_choice, response_format });
  const [alone, beside] = server.engine.requests.slice(-2);
  t.deepEqual(beside?.grammar, alone?.grammar);
});
