import test from "ava";
import type { ExecutionContext } from "ava";
import { SeapClient } from "../../../client/client.ts";
import { WebSocket } from "ws";
import { callText } from "../../../server/tools/tool-call-text.ts";
import { qwen3Template } from "../../helpers/family-templates.ts";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { readEvents, startServer } from "../../helpers/start-server.ts";

const messages = [{ role: "user", content: "Hi" }];
const thought = "<think>\nHm. Well.\n</think>\n\nHello.";

interface Message {
  readonly content: string | null;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly { readonly function: object }[];
}

interface Answer {
  readonly choices: readonly { readonly message: Message; readonly finish_reason: string }[];
  readonly usage: object;
}

/** A server whose model thinks, and writes this, three characters a token. */
async function thinking(t: ExecutionContext, text: string, template = qwen3Template) {
  const engine = new FakeEngine({ contextLength: 10_000 });
  engine.script = () => ({ steps: text.match(/[^]{1,3}/g) ?? [] });
  const server = await startServer(t, { engine });
  server.codec.chatTemplate = template;
  return server;
}

type Server = Awaited<ReturnType<typeof thinking>>;

/** Reasoning and content, which the stream has as well. */
async function ask(t: ExecutionContext, { post }: Server, body: object = {}) {
  const request = { messages, ...body };
  const whole = (await (await post("/v1/chat/completions", request)).json()) as Answer;
  const { message, finish_reason } = whole.choices[0]!;
  const stream = await post("/v1/chat/completions", { ...request, stream: true });
  const deltas = (await readEvents(stream)).slice(0, -1).map((event) => {
    const { choices } = JSON.parse(event) as { choices: { delta: Partial<Message> }[] };
    return choices[0]!.delta;
  });
  const joined = (field: "content" | "reasoning_content") =>
    deltas.map((delta) => delta[field] ?? "").join("");
  t.is(joined("content"), message.content ?? "");
  t.is(joined("reasoning_content"), message.reasoning_content ?? "");
  return { message, finish_reason, usage: whole.usage };
}

test("what a model thinks is told beside its answer, with its tokens", async (t) => {
  const { message, usage } = await ask(t, await thinking(t, thought));
  t.like(message, { content: "Hello.", reasoning_content: "Hm. Well." });
  const numTokens = Math.ceil((thought.indexOf("</think>") + "</think>".length) / 3);
  t.like(usage, { completion_tokens_details: { reasoning_tokens: numTokens } });
});

test("a model whose template knows of no thinking is believed every word, unless the client asks", async (t) => {
  const server = await thinking(t, thought, "{{ messages }}");
  const { message, usage } = await ask(t, server);
  t.is(message.content, thought);
  t.false("reasoning_content" in message || "completion_tokens_details" in usage);
  const asked = await ask(t, server, { reasoning_format: "deepseek" });
  t.like(asked.message, { content: "Hello.", reasoning_content: "Hm. Well." });
});

test("the client may have the text as it is, or without the reasoning", async (t) => {
  const server = await thinking(t, thought);
  t.is((await ask(t, server, { reasoning_format: "none" })).message.content, thought);
  const { message } = await ask(t, server, { include_reasoning: false });
  t.is(message.content, "Hello.");
  t.false("reasoning_content" in message);
  const refused = await server.post("/v1/chat/completions", { messages, reasoning_format: "x" });
  t.like(await refused.json(), { error: { param: "reasoning_format" } });
});

test("an answer that is cut off while the model thinks has no content", async (t) => {
  const { message, finish_reason } = await ask(t, await thinking(t, thought), { max_tokens: 4 });
  t.like(message, { content: "", reasoning_content: "Hm." });
  t.is(finish_reason, "length");
});

test("where the prompt ends with the opening tag the answer begins with reasoning", async (t) => {
  const server = await thinking(t, "So.</think>Hello.");
  const opened = [{ role: "user", content: "Hi<think>\n" }];
  const { message } = await ask(t, server, { messages: opened });
  t.like(message, { content: "Hello.", reasoning_content: "So." });
  t.is((await ask(t, server)).message.content, "So.</think>Hello.");
});

test("calls are looked for behind the reasoning alone", async (t) => {
  const call = callText("now", "{}");
  const server = await thinking(t, `<think>Is it ${call}?</think>\n\nSee:\n${call}`);
  const tools = [{ type: "function", function: { name: "now" } }];
  const { message, finish_reason } = await ask(t, server, { tools });
  t.like(message, { content: "See:", reasoning_content: `Is it ${call}?` });
  t.deepEqual(
    message.tool_calls?.map((made) => made.function),
    [{ name: "now", arguments: "{}" }],
  );
  t.is(finish_reason, "tool_calls");
  await ask(t, server, { tools, reasoning_format: "none" });
  const [behind, , plain] = server.engine.requests.map(({ grammar }) => grammar!.sizeBytes);
  t.true(behind! > plain!);
});

test("where a grammar governs the answer there is no reasoning", async (t) => {
  const server = await thinking(t, '{"a": "<think>"}');
  const opened = [{ role: "user", content: "Hi<think>\n" }];
  const body = { messages: opened, response_format: { type: "json_object" } };
  t.is((await ask(t, server, body)).message.content, '{"a": "<think>"}');
  server.engine.script = () => ({ steps: [callText("now", "{}")] });
  const tools = [{ type: "function", function: { name: "now" } }];
  const called = await ask(t, server, { messages: opened, tools, tool_choice: "required" });
  t.is(called.message.tool_calls?.length, 1);
});

test("what was thought before reaches the template", async (t) => {
  const server = await thinking(t, thought);
  const before = { role: "assistant", content: "Hello.", reasoning_content: "Hm." };
  await server.post("/v1/chat/completions", { messages: [...messages, before, ...messages] });
  t.deepEqual(server.codec.conversations[0]![1] as object, before);
});

test("a response has the reasoning as an item, which a later one goes on from", async (t) => {
  const server = await thinking(t, thought);
  const response = (await (await server.post("/v1/responses", { input: "Hi" })).json()) as {
    readonly id: string;
    readonly output: readonly object[];
    readonly usage: object;
  };
  t.like(response.output, [
    {
      type: "reasoning",
      status: "completed",
      summary: [],
      content: [{ type: "reasoning_text", text: "Hm. Well." }],
    },
    { type: "message", content: [{ type: "output_text", text: "Hello." }] },
  ]);
  t.like(response.usage, { output_tokens_details: { reasoning_tokens: 9 } });
  const spoken = { role: "assistant", content: "Hello.", reasoning_content: "Hm. Well." };
  await server.post("/v1/responses", { input: "On", previous_response_id: response.id });
  t.deepEqual(server.codec.conversations.at(-1)![1] as object, spoken);
  await server.post("/v1/responses", { input: ["Hi"].map(toUser).concat(response.output) });
  t.deepEqual(server.codec.conversations.at(-1)![1] as object, spoken);
  const hidden = await server.post("/v1/responses", { input: "Hi", include_reasoning: false });
  t.is(((await hidden.json()) as typeof response).output.length, 1);
});

test("log-probabilities of what is held back begin no message", async (t) => {
  const server = await thinking(t, thought);
  server.engine.script = () => ({ steps: ["<think>", " ", "a", " ", "</think>", "Hi"] });
  const logprobs = { tokenId: 1, logprob: -1, top: [] };
  const generate = server.engine.generate.bind(server.engine);
  server.engine.generate = async function* (request, signal) {
    for await (const event of generate(request, signal)) {
      yield event.type === "delta" ? { ...event, logprobs: [logprobs] } : event;
    }
  };
  const body = { input: "Hi", top_logprobs: 1 };
  const response = (await (await server.post("/v1/responses", body)).json()) as {
    readonly output: readonly { readonly type: string }[];
  };
  t.deepEqual(
    response.output.map(({ type }) => type),
    ["reasoning", "message"],
  );
});

function toUser(content: string): object {
  return { role: "user", content };
}

test("a WebSocket's client tells reasoning from text", async (t) => {
  const { url } = await thinking(t, thought);
  const client = await SeapClient.connect(`${url.replace("http", "ws")}/v1/ws`, { WebSocket });
  const body = { messages: [{ role: "user" as const, content: "Hi" }] };
  const { text, reasoning } = await client.chat(body).whole();
  t.deepEqual([reasoning, text], ["Hm. Well.", "Hello."]);
  client.close();
});
