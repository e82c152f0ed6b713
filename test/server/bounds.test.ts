import { gzipSync } from "node:zlib";
import test from "ava";
import fc from "fast-check";
import { checkJson } from "../../server/http/check-json.ts";
import { InvalidJsonError } from "../../server/base/errors.ts";
import { jsonLimits, requestLimits } from "../../server/base/request-limits.ts";
import { startServer } from "../helpers/start-server.ts";

interface ErrorReply {
  readonly error: {
    readonly message: string;
    readonly param: string | null;
    readonly code: string;
  };
}

const { stopCharacters, nameCharacters, metadata } = requestLimits;
const user = { role: "user", content: "Hi" };
const long = "x".repeat(nameCharacters + 1);
const tool = (name: string) => ({ type: "function", function: { name } });
const call = (id: string) => ({ id, ...tool("f") });
const many = <T>(count: number, item: (index: number) => T) =>
  Array.from({ length: count + 1 }, (_, index) => item(index));
const record = <T>(count: number, value: T) =>
  Object.fromEntries(many(count, (i) => [String(i), value] as const));
const assistant = (calls: object[]) => [{ role: "assistant", tool_calls: calls }, user];

/** Endpoint, what it is sent, and the field that is too much. */
const beyond: readonly (readonly [path: string, body: object, param: string])[] = [
  ["chat/completions", { stop: "x".repeat(stopCharacters + 1) }, "stop"],
  ["chat/completions", { stop: many(requestLimits.stopStrings, String) }, "stop"],
  ["chat/completions", { stop: many(4, () => "x".repeat(1000)) }, "stop"],
  ["chat/completions", { n: requestLimits.choices + 1 }, "n"],
  ["chat/completions", { messages: many(requestLimits.messages, () => user) }, "messages"],
  [
    "chat/completions",
    { messages: [{ role: "user", content: many(2048, () => ({ type: "text", text: "" })) }] },
    "messages[0].content",
  ],
  ["chat/completions", { messages: [{ ...user, name: long }] }, "messages[0].name"],
  [
    "chat/completions",
    { messages: [user, { role: "tool", content: "", tool_call_id: long }] },
    "messages[1].tool_call_id",
  ],
  [
    "chat/completions",
    { messages: assistant(many(requestLimits.toolCalls, String).map(call)) },
    "messages[0].tool_calls",
  ],
  ["chat/completions", { messages: assistant([call(long)]) }, "messages[0].tool_calls[0].id"],
  [
    "chat/completions",
    { messages: assistant([tool(long)]) },
    "messages[0].tool_calls[0].function.name",
  ],
  ["chat/completions", { tools: many(requestLimits.tools, (i) => tool(`f${i}`)) }, "tools"],
  ["chat/completions", { logit_bias: record(requestLimits.logitBiases, 1) }, "logit_bias"],
  ["chat/completions", { cache_salt: long }, "cache_salt"],
  ["completions", { prompt: many(requestLimits.prompts, String) }, "prompt"],
  ["embeddings", { input: many(requestLimits.prompts, String) }, "input"],
  ["responses", { input: many(requestLimits.items, () => user) }, "input"],
  ["responses", { previous_response_id: long }, "previous_response_id"],
  ["responses", { metadata: record(metadata.pairs, "1") }, "metadata"],
  ["responses", { metadata: { a: "x".repeat(metadata.valueCharacters + 1) } }, "metadata.a"],
  [
    "responses",
    { tools: many(requestLimits.tools, (i) => ({ type: "function", name: `f${i}` })) },
    "tools",
  ],
  [
    "responses",
    { input: [{ type: "function_call", call_id: long, name: "f", arguments: "{}" }] },
    "input[0].call_id",
  ],
];

test("whatever a client describes has a bound, and beyond it the field is named", async (t) => {
  const { post, engine } = await startServer(t);
  const needed: Readonly<Record<string, object>> = {
    "chat/completions": { messages: [user] },
    responses: { input: "Hi" },
    completions: {},
    embeddings: {},
  };
  for (const [path, body, param] of beyond) {
    const response = await post(`/v1/${path}`, { ...needed[path], ...body });
    const { error } = (await response.json()) as ErrorReply;
    t.deepEqual([response.status, error.param], [400, param], error.message);
    t.true(error.message.length < 400, error.message);
  }
  t.is(engine.requests.length, 0);
});

test("a body that is not UTF-8 is refused with the place, compressed or not", async (t) => {
  const { url } = await startServer(t);
  const start = Buffer.from('{"messages":[{"role":"user","content":"Grüße ');
  const end = Buffer.from('"}]}');
  const wrong = [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98]];
  for (const bytes of wrong) {
    const body = Buffer.concat([start, Buffer.from(bytes), end]);
    for (const encoding of ["identity", "gzip"]) {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", "content-encoding": encoding },
        body: encoding === "gzip" ? gzipSync(body) : body,
      });
      const { error } = (await response.json()) as ErrorReply;
      t.deepEqual([response.status, error.code], [400, "invalid_json"]);
      t.regex(error.message, new RegExp(`not UTF-8.* at byte ${start.length}\\.`));
    }
  }
});

test("a byte order mark is no part of the JSON, and other charsets than UTF-8 are refused", async (t) => {
  const { url } = await startServer(t);
  const send = (charset: string, body: Buffer) =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": `application/json; charset=${charset}` },
      body,
    });
  const text = JSON.stringify({ messages: [user] });
  t.is((await send("UTF-8", Buffer.from(`\uFEFF${text}`))).status, 200);
  t.is((await send("utf-16le", Buffer.from(text, "utf16le"))).status, 415);
  t.is((await send("latin1", Buffer.from(text, "latin1"))).status, 415);
});

test("JSON of any value within the bounds is let through", (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.json(), (text) => {
        checkJson(Buffer.from(text));
        checkJson(Buffer.from(JSON.stringify({ text: `[{"\\${text}` })));
      }),
    ),
  );
});

test("what is too deep or has too many members is refused before it is parsed", (t) => {
  const { depth, members, keys } = jsonLimits;
  const deep = (levels: number) => `{"a":`.repeat(levels - 1) + "[]" + "}".repeat(levels - 1);
  t.notThrows(() => checkJson(Buffer.from(deep(depth))));
  const manyKeys = JSON.stringify(record(keys, 1));
  const refused = [manyKeys, deep(depth + 1), "[".repeat(8 * 2 ** 20), "[".repeat(depth + 1)];
  for (const text of [
    ...refused,
    `[${"1,".repeat(members)}1]`,
    `[${"[],".repeat(members / 2)}1]`,
  ]) {
    t.throws(() => checkJson(Buffer.from(text)), { instanceOf: InvalidJsonError });
  }
  // In a string they are text.
  t.notThrows(() => checkJson(Buffer.from(JSON.stringify('[{\\"'.repeat(10_000)))));
});

test("values as deep as they may be do not run out of stack anywhere", async (t) => {
  const { post } = await startServer(t);
  const levels = jsonLimits.depth - 8;
  const nested = JSON.parse(`{"a":`.repeat(levels) + "{}" + "}".repeat(levels)) as object;
  const format = { type: "json_schema", json_schema: { name: "a", schema: nested } };
  const bodies = [
    { messages: [user], response_format: format },
    {
      messages: [user],
      tools: [{ type: "function", function: { name: "f", parameters: nested } }],
    },
    {
      messages: [
        { role: "assistant", tool_calls: [{ function: { name: "f", arguments: nested } }] },
        user,
      ],
    },
    { messages: [user], metadata: nested },
    { messages: [{ role: "user", content: nested }] },
  ];
  for (const body of bodies) {
    for (const path of ["/v1/chat/completions", "/v1/responses", "/tokenize", "/apply-template"]) {
      t.true((await post(path, { ...body, input: "Hi" })).status < 500);
    }
  }
});
