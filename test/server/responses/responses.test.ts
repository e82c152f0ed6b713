import test from "ava";
import { InferenceError } from "../../../engine/contract/errors.ts";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { fetchDocument, SchemaChecker } from "../../helpers/openapi.ts";
import { readEvents, startServer, type TestServer } from "../../helpers/start-server.ts";

const functionF = { type: "function", name: "f" };

interface Wire {
  readonly id: string;
  readonly output: readonly { readonly content: readonly { readonly text: string }[] }[];
}

async function create({ post }: TestServer, body: object): Promise<Wire> {
  return (await (await post("/v1/responses", body)).json()) as Wire;
}

test("a response is what the official client expects", async (t) => {
  const { client } = await startServer(t);
  const response = await client.responses.create({
    model: "fake",
    input: "Hi",
    instructions: "Be kind",
    metadata: { topic: "test" },
  });
  t.is(response.output_text, "Hello world");
  t.like(response, {
    object: "response",
    status: "completed",
    error: null,
    incomplete_details: null,
    instructions: "Be kind",
    model: "org/fake",
    metadata: { topic: "test" },
    previous_response_id: null,
    usage: { input_tokens: 9, output_tokens: 2, total_tokens: 11 },
  });
  t.like(response.output[0], { type: "message", role: "assistant", status: "completed" });
});

test("input items become the messages of the chat, instructions the first", async (t) => {
  const server = await startServer(t);
  await create(server, {
    instructions: "a",
    input: [
      { role: "developer", content: "b" },
      {
        role: "user",
        content: [
          { type: "input_text", text: "c" },
          { type: "input_text", text: "d" },
        ],
      },
      { type: "function_call", call_id: "1", name: "f", arguments: '{"x":1}' },
      { type: "function_call", call_id: "2", name: "g", arguments: "{}" },
      { type: "function_call_output", call_id: "1", output: "e" },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "h" }] },
      { role: "user", content: "i" },
    ],
  });
  const call = (name: string, text: string) =>
    `<tool_call>\n{"name": "${name}", "arguments": ${text}}\n</tool_call>`;
  const [conversation] = server.codec.conversations;
  t.is(conversation?.length, 7);
  for (const [index, expected] of [
    { role: "system", content: "a" },
    { role: "system", content: "b" },
    { role: "user", content: "c\nd" },
    { role: "assistant", content: `${call("f", '{"x":1}')}\n${call("g", "{}")}` },
    { role: "tool", content: "e", tool_call_id: "1" },
    { role: "assistant", content: "h" },
    { role: "user", content: "i" },
  ].entries()) {
    t.like(conversation?.[index], expected);
  }
});

test("a response goes on from another, whose instructions are left behind", async (t) => {
  const server = await startServer(t);
  const first = await create(server, { input: "one", instructions: "old" });
  const second = await create(server, {
    input: "two",
    instructions: "new",
    previous_response_id: first.id,
  });
  await create(server, { input: "three", previous_response_id: second.id });
  const texts = server.codec.conversations.map((each) => each.map(({ content }) => content));
  t.deepEqual(texts, [
    ["old", "one"],
    ["new", "one", "Hello world", "two"],
    ["one", "Hello world", "two", "Hello world", "three"],
  ]);
});

test("a response can be read until it is deleted", async (t) => {
  const { client } = await startServer(t);
  const made = await client.responses.create({ model: "fake", input: "Hi" });
  t.deepEqual(await client.responses.retrieve(made.id), made);
  await t.throwsAsync(client.responses.retrieve(made.id, { stream: true }), {
    message: /stream is not supported/,
  });
  await client.responses.delete(made.id);
  for (const ask of [
    () => client.responses.retrieve(made.id),
    () => client.responses.inputItems.list(made.id),
    () => client.responses.delete(made.id),
    () => client.responses.create({ input: "Hi", previous_response_id: made.id }),
  ]) {
    t.like(await t.throwsAsync(ask), { status: 404, code: "response_not_found" });
  }
});

test("a response's input items are all that it was made from, the last first", async (t) => {
  const { client } = await startServer(t);
  const first = await client.responses.create({ input: "one", instructions: "Be kind" });
  const second = await client.responses.create({
    previous_response_id: first.id,
    input: [
      { role: "user", content: [{ type: "input_text", text: "two" }] },
      { type: "function_call", call_id: "1", name: "f", arguments: "{}" },
      { type: "function_call_output", call_id: "1", output: "three" },
      { role: "assistant", content: "four" },
      { role: "developer", content: "five" },
    ],
  });
  const list = async (query: { limit?: number; order?: "asc" | "desc" }) => {
    const items = [];
    for await (const item of client.responses.inputItems.list(second.id, query)) items.push(item);
    return items;
  };
  const items = await list({ order: "asc" });
  const user = (text: string) => ({
    ...{ type: "message", role: "user", status: "completed" },
    content: [{ type: "input_text", text }],
  });
  const assistant = (text: string) => ({
    ...{ type: "message", role: "assistant", status: "completed" },
    content: [{ type: "output_text", text, annotations: [] }],
  });
  for (const [index, expected] of [
    user("one"),
    assistant("Hello world"),
    user("two"),
    { type: "function_call", call_id: "1", name: "f", arguments: "{}" },
    { type: "function_call_output", call_id: "1", output: "three" },
    assistant("four"),
    { ...user("five"), role: "developer" },
  ].entries()) {
    t.like(items[index], expected);
  }
  t.is(items.length, 7);
  t.is(new Set(items.map(({ id }) => id)).size, 7);
  t.deepEqual(items[1], first.output[0]);
  // Pages of any size are the same list, and of the same items each time.
  for (const limit of [1, 3, 7]) t.deepEqual(await list({ limit, order: "asc" }), items);
  t.deepEqual(await list({ limit: 2 }), items.toReversed());
});

test("a page of input items says where it begins and ends and whether more follow", async (t) => {
  const server = await startServer(t);
  const checker = new SchemaChecker(await fetchDocument(server));
  const { id } = await create(server, {
    input: ["a", "b", "c"].map((content) => ({ role: "user", content })),
  });
  const page = async (query: string) => {
    const response = await server.get(`/v1/responses/${id}/input_items?${query}`);
    t.is(response.status, 200);
    const list = (await response.json()) as Record<"first_id" | "last_id", string>;
    t.is(checker.problemOf("ResponseItemList", list), null);
    return list;
  };
  const first = await page("limit=2&order=asc&include[]=message.output_text.logprobs");
  t.like(first, { object: "list", has_more: true });
  t.like(first, { data: [{ id: first.first_id }, { id: first.last_id }] });
  const last = await page(`limit=2&order=asc&after=${first.last_id}`);
  t.like(last, { has_more: false, first_id: last.last_id });
  t.deepEqual<unknown, object>(await page(`order=asc&after=${last.last_id}`), {
    ...{ object: "list", data: [], first_id: null, last_id: null, has_more: false },
  });
});

for (const [query, param] of [
  ["limit=0", "limit"],
  ["limit=101", "limit"],
  ["limit=two", "limit"],
  ["order=random", "order"],
  ["after=msg_1", "after"],
  ["after=a&after=b", "after"],
] as const) {
  test(`input items asked for with ${query} are refused, naming ${param}`, async (t) => {
    const server = await startServer(t);
    const { id } = await create(server, { input: "Hi" });
    const response = await server.get(`/v1/responses/${id}/input_items?${query}`);
    t.is(response.status, 400);
    t.like(await response.json(), { error: { param } });
  });
}

for (const limit of [0, -2]) {
  test(`D26: max_output_tokens ${limit} is refused with 400 naming the field`, async (t) => {
    const { post } = await startServer(t);
    const response = await post("/v1/responses", { input: "Hi", max_output_tokens: limit });
    t.is(response.status, 400);
    t.like(await response.json(), { error: { param: "max_output_tokens" } });
  });
}

test("a verbosity is repeated and changes nothing, as in chat", async (t) => {
  const server = await startServer(t);
  t.like(await create(server, { input: "Hi", seed: 1 }), { text: { verbosity: "medium" } });
  for (const verbosity of ["low", "medium", "high"]) {
    t.like(await create(server, { input: "Hi", seed: 1, text: { verbosity } }), {
      text: { format: { type: "text" }, verbosity },
    });
  }
  const asked = server.engine.requests.map((request) => ({ ...request, id: "" }));
  for (const request of asked) t.deepEqual(request, asked[0]);
});

test("what is not to be stored is not", async (t) => {
  const server = await startServer(t);
  const { id } = await create(server, { input: "Hi", store: false });
  t.is((await server.get(`/v1/responses/${id}`)).status, 404);
});

test("one key's responses are not there for another", async (t) => {
  const server = await startServer(t, { security: { apiKey: ["key-of-alice", "key-of-bob"] } });
  const as = (key: string) => ({
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
  });
  const made = await server.post("/v1/responses", { input: "Hi" }, as("key-of-alice"));
  const { id } = (await made.json()) as Wire;
  const path = `/v1/responses/${id}`;
  t.is((await server.get(path, as("key-of-bob"))).status, 404);
  t.is((await server.get(`${path}/input_items`, as("key-of-bob"))).status, 404);
  t.is((await server.get(path, { method: "DELETE", ...as("key-of-bob") })).status, 404);
  t.is((await server.get(path, as("key-of-alice"))).status, 200);
});

test("an answer that is cut off is incomplete", async (t) => {
  const server = await startServer(t);
  t.like(await create(server, { input: "Hi", max_output_tokens: 1 }), {
    status: "incomplete",
    incomplete_details: { reason: "max_output_tokens" },
    max_output_tokens: 1,
    output: [{ status: "incomplete", content: [{ text: "Hello" }] }],
  });
});

test("an answer without text has an empty message", async (t) => {
  const engine = new FakeEngine();
  engine.script = () => ({ steps: [] });
  const server = await startServer(t, { engine });
  const { output } = await create(server, { input: "Hi" });
  t.is(output[0]?.content[0]?.text, "");
});

test("a stream tells every step in order, by name and number", async (t) => {
  const { post } = await startServer(t);
  const response = await post("/v1/responses", { input: "Hi", stream: true });
  t.regex(response.headers.get("content-type")!, /^text\/event-stream/);
  const text = await response.text();
  const names = [...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name);
  t.deepEqual(names, [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
  ]);
  const events = [...text.matchAll(/^data: (.*)$/gm)].map(
    ([, data]) => JSON.parse(data!) as { type: string; sequence_number: number },
  );
  t.deepEqual(
    events.map(({ type }) => type),
    names as string[],
  );
  t.deepEqual(
    events.map((event) => event.sequence_number),
    events.map((_, index) => index),
  );
});

test("the official client puts a stream together, and the server keeps it", async (t) => {
  const { client } = await startServer(t);
  const stream = client.responses.stream({ model: "fake", input: "Hi" });
  const deltas: string[] = [];
  stream.on("response.output_text.delta", ({ delta }) => deltas.push(delta));
  const final = await stream.finalResponse();
  t.deepEqual(deltas, ["Hello", " world"]);
  t.is(final.output_text, "Hello world");
  t.is(final.status, "completed");
  t.like((await client.responses.retrieve(final.id)).output, [
    { content: [{ text: "Hello world" }] },
  ]);
});

test("D13: a failure before the stream is a status, one inside it an error event and the last", async (t) => {
  const engine = new FakeEngine();
  const server = await startServer(t, { engine });
  const refused = await server.post("/v1/responses", { input: "x".repeat(300), stream: true });
  t.is(refused.status, 400);
  t.like(await refused.json(), { error: { code: "context_length_exceeded", param: "input" } });

  engine.script = () => ({ steps: ["Hel", { fail: new InferenceError("The device failed.") }] });
  const response = await server.post("/v1/responses", { input: "Hi", stream: true });
  t.is(response.status, 200);
  const last = (await readEvents(response)).at(-1)!;
  t.like(JSON.parse(last), { type: "error", code: "inference", error: { code: "inference" } });
  const stream = server.client.responses.stream({ model: "fake", input: "Hi" });
  t.regex(
    (await t.throwsAsync(stream.finalResponse())).message,
    /^The model failed on this request/,
  );
});

test("D18: a client that leaves cancels its response, which is not kept", async (t) => {
  const engine = new FakeEngine();
  const gate = new Gate();
  engine.script = () => ({ steps: ["Hello", { hold: gate }] });
  const { client, metric } = await startServer(t, { engine });
  const stream = await client.responses.create({ model: "fake", input: "Hi", stream: true });
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") break;
  }
  await engine.until(() => engine.cancelledIds.length === 1);
  t.is(await metric("seap_requests_running"), 0);
});

test("a format of the text is enforced as a chat's is", async (t) => {
  const server = await startServer(t);
  const schema = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
  const definition = { name: "thing", schema, strict: true };
  const format = { type: "json_schema", ...definition };
  t.like(await create(server, { input: "Hi", text: { format } }), { text: { format } });
  const response_format = { type: "json_schema", json_schema: definition };
  await server.post("/v1/chat/completions", {
    messages: [{ role: "user", content: "Hi" }],
    response_format,
  });
  const [own, chat] = server.engine.requests;
  t.truthy(own?.grammar);
  t.deepEqual(own?.grammar, chat?.grammar);
  await create(server, { input: "Hi", text: { format: { type: "text" } } });
  t.is(server.engine.requests[2]?.grammar, undefined);
});

for (const [body, param] of [
  [{ input: "Hi", background: true }, "background"],
  [{ input: "Hi", conversation: "c" }, "conversation"],
  [{ input: "Hi", include: ["everything"] }, "include[0]"],
  [{ input: "Hi", tools: [{ type: "function" }] }, "tools[0].name"],
  [{ input: "Hi", tools: [{}] }, "tools[0].type"],
  [{ input: "Hi", tool_choice: { type: "web_search" } }, "tool_choice"],
  [
    { input: "Hi", tool_choice: { type: "allowed_tools", mode: "auto", tools: [functionF] } },
    "tool_choice.tools[0].name",
  ],
  [{ input: [{ type: "reasoning", id: "rs_1", summary: [] }] }, "input"],
  [{ input: "Hi", text: { format: { type: "xml" } } }, "text.format.type"],
  [{ input: "Hi", text: { verbosity: "talkative" } }, "text.verbosity"],
  [
    {
      input: "Hi",
      text: { format: { type: "json_schema", name: "x", schema: { pattern: "(" } } },
    },
    "text.format.schema",
  ],
  [{ input: "Hi", previous_response_id: 1 }, "previous_response_id"],
  [{ input: [{ role: "user", content: [{ type: "input_image" }] }] }, "input[0].content[0]"],
  [{ input: [{ type: "computer_call", id: "x" }] }, "input[0].type"],
  [{ input: "Hi", max_output_tokens: 1000 }, "max_output_tokens"],
] as const) {
  test(`${JSON.stringify(body)} is refused, naming ${param}`, async (t) => {
    const { post } = await startServer(t);
    const response = await post("/v1/responses", body);
    t.is(response.status, 400);
    t.like(await response.json(), { error: { param } });
  });
}

test("E07: tools of other kinds are left out, which a header and the log say, and functions stay", async (t) => {
  const engine = new FakeEngine({ contextLength: 10_000 });
  const security = { corsOrigins: ["http://a.example"] };
  const server = await startServer(t, { engine, security });
  const kinds = ["web_search", "custom", "namespace", "local_shell", "mcp", "code_interpreter"];
  const foreign = kinds.map((type) => ({ type, name: "x", tools: [{ type: "function" }] }));
  const ask = (path: string, body: object) => {
    const headers = { "content-type": "application/json", origin: "http://a.example" };
    return server.post(path, body, { headers });
  };
  const chatTools = [...foreign, { type: "function", function: { name: "f" } }, { type: "a b" }];
  const messages = [{ role: "user", content: "Hi" }];
  for (const [path, body] of [
    ["/v1/responses", { input: "Hi", tools: [...foreign, functionF, { type: "a b" }] }],
    ["/v1/chat/completions", { messages, tools: chatTools }],
  ] as const) {
    const response = await ask(path, body);
    t.is(response.status, 200);
    t.is(response.headers.get("x-seap-ignored-tools"), [...kinds, "other"].join(","));
    t.regex(response.headers.get("access-control-expose-headers")!, /x-seap-ignored-tools/);
    t.truthy(server.engine.requests.at(-1)?.grammar);
  }
  const [first] = server.codec.conversations;
  t.regex(first![0]!.content, /"name":"f"/);
  t.notRegex(first![0]!.content, /web_search/);
  t.is(server.logLines.filter((line) => line.includes('kind="web_search"')).length, 1);
  const alone = await ask("/v1/responses", { input: "Hi", tools: foreign });
  t.like(await alone.json(), { tools: [] });
  t.is(server.engine.requests.at(-1)?.grammar, undefined);
  t.is((await ask("/v1/responses", { input: "Hi" })).headers.get("x-seap-ignored-tools"), null);
  for (const choice of ["required", "any"]) {
    const refused = await ask("/v1/responses", {
      input: "Hi",
      tools: foreign,
      tool_choice: choice,
    });
    t.like(await refused.json(), { error: { param: "tool_choice", code: "invalid_request" } });
  }
  const named = { input: "Hi", tools: foreign, tool_choice: { type: "web_search" } };
  t.like(await (await ask("/v1/responses", named)).json(), {
    error: { param: "tool_choice", code: "unsupported_parameter" },
  });
});

test("E14: any means required, and allowed tools are those that may be called", async (t) => {
  const server = await startServer(t);
  const tools = ["f", "g"].map((name) => ({ type: "function", name }));
  const grammarOf = async (tool_choice: unknown, list = tools) => {
    await create(server, { input: "Hi", tools: list, tool_choice });
    return server.engine.requests.at(-1)?.grammar;
  };
  t.deepEqual(await grammarOf("any"), await grammarOf("required"));
  const allowed = { type: "allowed_tools", mode: "required", tools: [tools[1]] };
  t.deepEqual(await grammarOf(allowed), await grammarOf("required", [tools[1]!]));
});

test("E08: calls of tools that only other models have are shown as those of functions", async (t) => {
  const { post, codec } = await startServer(t);
  const input = [
    { role: "user", content: "one" },
    { type: "custom_tool_call", call_id: "1", name: "patch", input: "+ a" },
    { type: "custom_tool_call_output", call_id: "1", output: "done" },
    { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search" } },
    { type: "local_shell_call", call_id: "2", action: { type: "exec", command: ["ls"] } },
    { type: "local_shell_call_output", call_id: "2", output: [{ type: "input_text", text: "b" }] },
  ];
  t.is((await post("/v1/responses", { input })).status, 200);
  const told = codec.conversations
    .at(-1)!
    .map(({ role, content }) => `${role}: ${String(content)}`);
  t.is(told.length, 5);
  t.regex(told[1]!, /^assistant: .*"name": "patch", "arguments": \{"input":"\+ a"\}/s);
  t.is(told[2], "tool: done");
  t.regex(told[3]!, /^assistant: .*"name": "local_shell", "arguments": \{"type":"exec"/s);
  t.is(told[4], "tool: b");
});

test("E08: items that this server gave are found again, by their key alone, as long as they are stored", async (t) => {
  const server = await startServer(t, { security: { apiKey: ["key-of-alice", "key-of-bob"] } });
  const ask = (key: string, body: object) => {
    const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
    return server.post("/v1/responses", body, { headers });
  };
  const made = (await (await ask("key-of-alice", { input: "one" })).json()) as {
    readonly id: string;
    readonly output: readonly { readonly id: string }[];
  };
  const reference = { type: "item_reference", id: made.output[0]!.id };
  const input = [
    { role: "user", content: "zero" },
    reference,
    { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "hm" }] },
    {
      ...{ type: "message", id: "msg_x", status: "completed", role: "assistant" },
      content: [{ type: "refusal", refusal: "No." }],
    },
    { role: "user", content: "two" },
  ];
  const body = { input, reasoning: { effort: "high", summary: "auto" }, truncation: "auto" };
  const response = await ask("key-of-alice", body);
  t.like(await response.json(), { reasoning: { effort: "high" }, truncation: "auto" });
  const last = server.codec.conversations.at(-1)!;
  t.deepEqual(
    last.map(({ role, content }) => [role, content]),
    [
      ["user", "zero"],
      ["assistant", "Hello world"],
      ["assistant", "No."],
      ["user", "two"],
    ],
  );
  t.like(server.codec.renderings.at(-1), { variables: { reasoning_effort: "high" } });
  for (const [key, id] of [
    ["key-of-bob", reference.id],
    ["key-of-alice", "msg_unknown"],
  ] as const) {
    const refused = await ask(key, { input: [{ type: "item_reference", id }] });
    t.is(refused.status, 404);
    t.like(await refused.json(), { error: { code: "item_not_found", param: "input[0].id" } });
  }
  const unstored = await ask("key-of-alice", { input: "three", store: false });
  const { output } = (await unstored.json()) as typeof made;
  const again = { input: [{ type: "item_reference", id: output[0]!.id }] };
  t.is((await ask("key-of-alice", again)).status, 404);
});
