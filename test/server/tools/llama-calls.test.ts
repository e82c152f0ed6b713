import test from "ava";
import type { ExecutionContext } from "ava";
import type OpenAI from "openai";
import { toolGrammar } from "../../../server/structured/tool-grammar.ts";
import { schemaGrammar } from "../../../server/structured/json-schema.ts";
import { llamaFormat } from "../../../server/tools/llama-format.ts";
import type { ToolPiece } from "../../../server/tools/tool-call-format.ts";
import { toolCallFormatOf } from "../../../server/tools/tool-call-formats.ts";
import { toolPrompt } from "../../../server/tools/tool-prompt.ts";
import type { Tool, Tools } from "../../../server/tools/tool-schemas.ts";
import { llama32Template, qwen3Template } from "../../helpers/family-templates.ts";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { accepter } from "../../helpers/grammar-texts.ts";
import { startServer } from "../../helpers/start-server.ts";

function tool(name: string, parameters?: Record<string, unknown>): Tool {
  return { type: "function", function: { name, ...(parameters && { parameters }) } };
}

const list = [
  tool("get", { type: "object", properties: { a: { type: "string" } }, required: ["a"] }),
  tool("get_all"),
];
const names = list.map((each) => each.function.name);

function call(name: string, args: string): string {
  return `{"name": "${name}", "parameters": ${args}}`;
}

const args = '{"a": "} \\" {\\\\"}';
const two = `${call("get", args)}; ${call("get_all", "{}")}`;

test("a template says how its model writes calls", (t) => {
  t.is(toolCallFormatOf(llama32Template).name, "llama");
  t.is(toolCallFormatOf("{{ tools }}<|python_tag|>").name, "llama");
  for (const other of [
    qwen3Template,
    "{{ messages }}",
    "{{ tools }}<tool_call>",
    '"parameters":',
  ]) {
    t.is(toolCallFormatOf(other).name, "hermes");
  }
});

/** Pieces as one text each, calls as `[name]`. */
function parse(chunks: readonly string[]): string[] {
  const parser = llamaFormat.parser({ names, isFormed: false, isForced: false, isParallel: true });
  const pieces: ToolPiece[] = [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()];
  const parts: string[] = [];
  let kind = "";
  for (const piece of pieces) {
    const text = piece.kind === "call" ? `[${piece.name}]` : piece.text;
    if (piece.kind === kind) parts[parts.length - 1] += text;
    else parts.push(text);
    kind = piece.kind === "call" ? "" : piece.kind;
  }
  return parts;
}

for (const [name, text, expected] of [
  ["a text", `So: ${call("get", args)}`, [`So: ${call("get", args)}`]],
  ["JSON that is no call", '{"name": "x"}', ['{"name": "x"}']],
  ["a call of no tool", call("other", "{}"), [call("other", "{}")]],
  ["one call", call("get", args), ["[get]", args]],
  ["a call behind the tag", `<|python_tag|>${call("get_all", "{}")}`, ["[get_all]", "{}"]],
  ["a call behind blanks", `\n ${call("get_all", "{}")}`, ["[get_all]", "{}"]],
  ["a text behind blanks", "\n {so}", ["\n {so}"]],
  ["blanks alone", " \n", [" \n"]],
  ["several calls", two, ["[get]", args, "[get_all]", "{}"]],
  ["a call that is cut off", call("get", args).slice(0, -4), ["[get]", args.slice(0, -3)]],
  ["a second call that is cut off", two.slice(0, -20), ["[get]", args]],
  ["what could have been a call", '{"name": "ge', ['{"name": "ge']],
  ["what could have been the tag", "<|py", ["<|py"]],
] as const) {
  test(`however it is split, ${name} is taken apart in the same way`, (t) => {
    t.deepEqual(parse([text]), [...expected]);
    t.deepEqual(parse([...text]), [...expected]);
    for (let at = 0; at < text.length; at++) {
      t.deepEqual(parse([text.slice(0, at), text.slice(at)]), [...expected]);
    }
  });
}

function accepts(options: Partial<Tools>, form?: object): (text: string) => boolean {
  const tools = { list, isRequired: false, isParallel: true, ...options };
  const compiled = form === undefined ? null : schemaGrammar(form, { isStrict: true });
  return accepter(toolGrammar(tools, list, compiled, llamaFormat).grammar);
}

test("where tools may be called any text is allowed, and what begins as a call is a valid one", (t) => {
  const [many, one] = [accepts({}), accepts({ isParallel: false })];
  const texts = [
    "",
    "Hi",
    "{",
    '{"name": "x"}',
    '{"name": "get',
    call("other", "{}"),
    "ü {}",
    "<|p",
    " \n",
    "\n a",
  ];
  for (const text of [
    ...texts,
    call("get", args),
    `\n\n${call("get_all", "{}")}`,
    `<|python_tag|>${call("get_all", "{}")}`,
  ]) {
    t.true(many(text) && one(text), text);
  }
  t.deepEqual([many(two), one(two)], [true, false]);
  for (const text of [
    call("get", "{}"),
    call("get_all", '{"x": 1}'),
    `${call("get_all", "{}")} so`,
    call("get", args).slice(0, -1),
    ` \n${call("get", "{}")}`,
    `${call("get_all", "{}")}; ${call("other", "{}")}`,
    `<|python_tag|>${call("get", "{}")}`,
  ]) {
    t.false(many(text) || one(text), text);
  }
});

test("where tools must be called there is nothing but calls", (t) => {
  const [many, one] = [
    accepts({ isRequired: true }),
    accepts({ isRequired: true, isParallel: false }),
  ];
  t.deepEqual([many(two), one(two)], [true, false]);
  for (const text of ["", "text", call("other", "{}"), call("get", "{}")]) {
    t.false(many(text) || one(text), text);
  }
  t.true(many(call("get", args)) && one(call("get", args)));
});

test("where text has a form there are calls or text of that form", (t) => {
  const accept = accepts({}, { type: "object", properties: { b: { const: 1 } }, required: ["b"] });
  for (const text of [call("get", args), two, '{"b": 1}']) t.true(accept(text), text);
  for (const text of ["", "text", '{"b": 2}']) t.false(accept(text), text);
});

const calls = names.map((name, i) => ({ id: `${i}`, function: { name, arguments: '{"a": 1}' } }));
const results = ["1", "0"].map((id) => ({
  role: "tool" as const,
  content: `of ${id}`,
  tool_call_id: id,
}));

test("the template gets tools, one call a message, and what each gave behind it", (t) => {
  const { messages, tools } = toolPrompt(
    [
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Well.", tool_calls: calls },
      ...results,
      { role: "assistant", content: "So.", tool_calls: [] },
    ],
    list,
    llama32Template,
  );
  t.deepEqual(tools, list);
  const called = (index: number) => [
    { id: `${index}`, function: { name: names[index], arguments: { a: 1 } } },
  ];
  t.deepEqual(messages as object, [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Well.", tool_calls: called(0) },
    results[1],
    { role: "assistant", content: "", tool_calls: called(1) },
    results[0],
    { role: "assistant", content: "So." },
  ]);
});

test("results that name no call are those of the calls in order, and none is lost", (t) => {
  const unnamed = ["a", "b", "c"].map((content) => ({ role: "tool" as const, content }));
  const { messages } = toolPrompt(
    [{ role: "assistant", content: "", tool_calls: calls }, ...unnamed],
    [],
    llama32Template,
  );
  t.deepEqual(
    messages.map(({ content }) => content),
    ["", "a", "", "b", "c"],
  );
});

/** Finish reason, content and calls, of the whole answer and of its stream put together. */
async function ask(
  t: ExecutionContext,
  text: string,
  params: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> = {},
) {
  const engine = new FakeEngine({ contextLength: 10_000 });
  engine.script = () => ({ steps: text.match(/[^]{1,4}/g) ?? [] });
  const server = await startServer(t, { engine });
  server.codec.chatTemplate = llama32Template;
  const tools = names.map((name) => ({ type: "function" as const, function: { name } }));
  const messages = [{ role: "user" as const, content: "Hi" }];
  const body = { model: "fake", messages, tools, ...params, stream: false as const };
  const whole = await server.client.chat.completions.create(body);
  const joined = await server.client.chat.completions
    .stream({ ...body, stream: true })
    .finalChatCompletion();
  const answers = [whole, joined].map(({ choices: [choice] }) => ({
    reason: choice!.finish_reason,
    content: choice!.message.content || null,
    calls: (choice!.message.tool_calls ?? []).map((made) =>
      made.type === "function" ? [made.function.name, made.function.arguments] : [],
    ),
  }));
  t.deepEqual(answers[1], answers[0]);
  return { ...answers[0]!, grammar: engine.requests[0]!.grammar };
}

test("answers of such a model give calls, and text where they begin otherwise", async (t) => {
  t.like(await ask(t, two), {
    reason: "tool_calls",
    content: null,
    calls: [
      ["get", args],
      ["get_all", "{}"],
    ],
  });
  t.like(await ask(t, "Hello."), { reason: "stop", content: "Hello.", calls: [] });
  const none = await ask(t, two, { tool_choice: "none" });
  t.like(none, { content: two, calls: [], grammar: undefined });
  const named = { type: "function" as const, function: { name: "get" } };
  for (const tool_choice of ["required" as const, named]) {
    t.like(await ask(t, call("get", "{}"), { tool_choice }), { calls: [["get", "{}"]] });
  }
});
