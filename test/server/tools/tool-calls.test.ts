import test from "ava";
import { ChatTemplateError } from "../../../model/errors.ts";
import { schemaGrammar } from "../../../server/structured/json-schema.ts";
import { InvalidRequestError } from "../../../server/base/errors.ts";
import { ToolCallParser } from "../../../server/tools/tool-call-parser.ts";
import type { ToolPiece } from "../../../server/tools/tool-call-format.ts";
import { callStart, callText } from "../../../server/tools/tool-call-text.ts";
import { toolGrammar } from "../../../server/structured/tool-grammar.ts";
import { toolPrompt, withoutToolRole, withToolPrompt } from "../../../server/tools/tool-prompt.ts";
import type { ToolPrompt } from "../../../server/tools/tool-prompt.ts";
import type { Tool } from "../../../server/tools/tool-schemas.ts";
import { FakeCodec } from "../../helpers/fake-codec.ts";
import { accepter } from "../../helpers/grammar-texts.ts";

function tool(name: string, parameters?: Record<string, unknown>): Tool {
  return { type: "function", function: { name, ...(parameters && { parameters }) } };
}

const weather = tool("get_weather", {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 1, maximum: 7 } },
  required: ["city"],
});
const now = tool("now");
const call = callText("get_weather", '{"city": "Bern <tool_call> } x", "days": 3}');

/** Pieces as one text each, calls as `[name]`. */
function joined(pieces: readonly ToolPiece[]): string[] {
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

function parse(chunks: readonly string[]): string[] {
  const parser = new ToolCallParser();
  return joined([...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()]);
}

for (const [name, text, expected] of [
  [
    "a text without calls",
    "Just text, <tool_cal> and }\n</tool_call>. ",
    ["Just text, <tool_cal> and }\n</tool_call>. "],
  ],
  ["one call", call, ["[get_weather]", '{"city": "Bern <tool_call> } x", "days": 3}']],
  [
    "a text, then two calls",
    `Let me see. \n${call}\n${callText("now", "{}")}\n`,
    ["Let me see.", "[get_weather]", '{"city": "Bern <tool_call> } x", "days": 3}', "[now]", "{}"],
  ],
  ["a call, then a text", `${callText("now", "{}")}\n\ndone`, ["[now]", "{}", "\n\ndone"]],
  [
    "a call that is cut off",
    call.slice(0, -20),
    ["[get_weather]", '{"city": "Bern <tool_call> } x", "day'],
  ],
  ["a call without a whole name", call.slice(0, 25), []],
  ["a tag that was begun", "so <tool_ca", ["so <tool_ca"]],
] as const) {
  test(`however it is split, ${name} is taken apart in the same way`, (t) => {
    t.deepEqual(parse([text]), [...expected]);
    t.deepEqual(parse([...text]), [...expected]);
    for (let at = 0; at < text.length; at += 3) {
      t.deepEqual(parse([text.slice(0, at), text.slice(at)]), [...expected]);
    }
  });
}

test("where tools may be called any text is allowed, and calls only as they are defined", (t) => {
  const tools = { list: [weather, now], isRequired: false, isParallel: true };
  const accepts = accepter(toolGrammar(tools, tools.list).grammar);
  for (const text of ["", "Hi <tool", call, `So: ${call} and ${callText("now", "{}")}`]) {
    t.true(accepts(text), text);
  }
  for (const text of [
    "<tool_call>",
    callText("other", "{}"),
    callText("get_weather", "{}"),
    callText("get_weather", '{"city": "Bern", "days": 8}'),
    callText("now", '{"x": 1}'),
  ]) {
    t.false(accepts(text), text);
  }
});

test("where tools must be called there is nothing but calls, and one where there may be no more", (t) => {
  const list = [weather, now];
  const many = accepter(toolGrammar({ list, isRequired: true, isParallel: true }, list).grammar);
  const one = accepter(toolGrammar({ list, isRequired: true, isParallel: false }, list).grammar);
  const two = `${call}\n${callText("now", "{}")}`;
  t.deepEqual([many(call), many(two), many(""), many(`${call} `)], [true, true, false, false]);
  t.deepEqual([one(call), one(two), one("text")], [true, false, false]);
  const auto = accepter(toolGrammar({ list, isRequired: false, isParallel: false }, list).grammar);
  t.deepEqual([auto(`Well, ${call}`), auto(two), auto("text")], [true, false, true]);
});

test("E03: parameters that cannot be enforced are left out, or refused naming the tool where it is strict", (t) => {
  const parameters = { properties: { a: { type: "array", uniqueItems: true } } };
  const compile = (strict: boolean) => {
    const list = [now, { type: "function" as const, function: { name: "f", parameters, strict } }];
    return toolGrammar({ list, isRequired: false, isParallel: true }, list);
  };
  const place = "tools[1].function.parameters.properties.a";
  t.deepEqual(compile(false).unenforced, [`${place}.uniqueItems`]);
  const error = t.throws(() => compile(true), { instanceOf: InvalidRequestError });
  t.is(error.param, place);
});

test("E05: a tool whose schema says nothing of arguments has none", (t) => {
  for (const [parameters, isOpen] of [
    [undefined, false],
    [{}, false],
    [{ type: "object" }, false],
    [{ type: "object", properties: {} }, false],
    [{ type: "object", properties: {}, required: [], additionalProperties: false }, false],
    [{ $schema: "http://json-schema.org/draft-07/schema#", type: "object", title: "now" }, false],
    [{ type: "object", properties: {}, additionalProperties: true }, true],
    [{ type: "object", additionalProperties: { type: "integer" } }, true],
  ] as const) {
    const list = [tool("now", parameters)];
    const { grammar } = toolGrammar({ list, isRequired: true, isParallel: false }, list);
    const accepts = accepter(grammar);
    t.true(accepts(callText("now", "{}")));
    t.is(accepts(callText("now", '{"x": 1}')), isOpen, JSON.stringify(parameters));
  }
});

const conversation = [
  { role: "system" as const, content: "Be brief." },
  { role: "user" as const, content: "Weather?" },
  {
    role: "assistant" as const,
    content: "",
    tool_calls: [{ id: "1", function: { name: "now", arguments: '{"a": 1}' } }],
  },
  { role: "tool" as const, content: "sunny", tool_call_id: "1" },
];

test("a template that does not know tools gets them in the system message, and calls as text", (t) => {
  const { messages, tools } = toolPrompt(conversation, [weather], "{{ messages }}");
  t.is(tools, undefined);
  t.regex(messages[0]!.content, /^Be brief\.\n\n# Tools\n[^]*"name":"get_weather"[^]*<tool_call>/);
  t.deepEqual(messages[2], { role: "assistant", content: callText("now", '{"a": 1}') });
  const alone = toolPrompt(conversation.slice(1), [weather], "{{ messages }}");
  t.is(alone.messages[0]!.role, "system");
  t.is(alone.messages.length, 4);
});

test("a template that knows them gets the tools, and arguments that it can write as JSON", (t) => {
  const template = "{% if tools %}<tools>{% endif %}<tool_call>{{ arguments | tojson }}";
  const { messages, tools } = toolPrompt(conversation, [weather], template);
  t.deepEqual(tools, [weather]);
  t.is(messages[0]!.content, "Be brief.");
  t.like(messages[2], { tool_calls: [{ function: { name: "now", arguments: { a: 1 } } }] });
});

test("templates without a role for tools get what they gave from the user, as one message", (t) => {
  const messages = withoutToolRole([...conversation, { role: "tool", content: "12:00" }]);
  t.is(messages!.length, 4);
  t.deepEqual(messages![3], {
    role: "user",
    content: "<tool_response>\nsunny\n</tool_response>\n<tool_response>\n12:00\n</tool_response>",
  });
  t.is(withoutToolRole(conversation.slice(0, 2)), null);
});

test("a template that refuses what tools gave is asked again without their role, and no other is", async (t) => {
  const codec = new FakeCodec();
  const refusing = ({ messages }: ToolPrompt): Promise<string> =>
    messages.some(({ role }) => role === "tool")
      ? Promise.reject(new ChatTemplateError("no tools"))
      : Promise.resolve(messages.map(({ role }) => role).join(" "));
  t.is(await withToolPrompt(conversation, [now], codec, refusing), "system user assistant user");
  const broken = () => Promise.reject(new RangeError("broken"));
  await t.throwsAsync(withToolPrompt(conversation, [now], codec, broken), {
    instanceOf: RangeError,
  });
  const strict = () => Promise.reject(new ChatTemplateError("no system"));
  await t.throwsAsync(withToolPrompt(conversation.slice(0, 2), [], codec, strict), {
    instanceOf: ChatTemplateError,
  });
});

test("E06: where text has a form there are calls or text of that form, and text alone is taken for text", (t) => {
  const list = [weather, now];
  const schema = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
  const compiled = (isParallel: boolean) => {
    const tools = { list, isRequired: false, isParallel };
    return accepter(toolGrammar(tools, list, schemaGrammar(schema, { isStrict: true })).grammar);
  };
  const [many, one] = [compiled(true), compiled(false)];
  const two = `${call}\n${callText("now", "{}")}`;
  for (const text of [call, '{"a": "<tool_call>"}']) t.true(many(text) && one(text), text);
  t.deepEqual([many(two), one(two)], [true, false]);
  for (const text of ["", "text", `{"a": "b"}${call}`, `${call}{"a": "b"}`, '{"a": 1}']) {
    t.false(many(text), text);
  }
  const parse = (chunks: readonly string[]) => {
    const parser = new ToolCallParser({ isFormed: true });
    return joined([...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()]);
  };
  const args = '{"city": "Bern <tool_call> } x", "days": 3}';
  for (const [text, expected] of [
    [two, ["[get_weather]", args, "[now]", "{}"]],
    [`{"a": "${callStart}"}`, [`{"a": "${callStart}"}`]],
    ["<tool", ["<tool"]],
  ] as const) {
    t.deepEqual(parse([text]), [...expected]);
    t.deepEqual(parse([...text]), [...expected]);
  }
});
