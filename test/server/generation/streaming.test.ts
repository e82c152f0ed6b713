import test from "ava";
import { InferenceError } from "../../../engine/contract/errors.ts";
import { FakeEngine, Gate, type Script } from "../../helpers/fake-engine.ts";
import { readEvents, startServer } from "../../helpers/start-server.ts";

interface Chunk {
  readonly id: string;
  readonly object: string;
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: { readonly role?: string; readonly content?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: { readonly total_tokens: number } | null;
}

const hello = { messages: [{ role: "user", content: "Hi" }], stream: true };

function playing(script: Script): FakeEngine {
  const engine = new FakeEngine();
  engine.script = () => script;
  return engine;
}

function toChunks(events: readonly string[]): Chunk[] {
  return events.slice(0, -1).map((event) => JSON.parse(event) as Chunk);
}

test("the pieces of a streamed chat share id, time and model and end with [DONE]", async (t) => {
  const { post } = await startServer(t);
  const response = await post("/v1/chat/completions", hello);
  t.is(response.status, 200);
  t.is(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  t.is(response.headers.get("x-accel-buffering"), "no");
  const events = await readEvents(response);
  t.is(events.at(-1), "[DONE]");
  const chunks = toChunks(events);
  t.is(new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`)).size, 1);
  t.true(chunks.every(({ object }) => object === "chat.completion.chunk"));
  t.is(chunks[0]?.model, "org/fake");
  t.is(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), "Hello world");
  t.deepEqual(
    chunks.map(({ choices }) => choices[0]?.finish_reason),
    [null, null, null, "stop"],
  );
});

test("D01 D02: text held back for incomplete bytes is joined without loss or replacement characters", async (t) => {
  const engine = playing({ steps: ["", "", "", "😀", "", "한", " שלום"], heldBack: "👍" });
  const { post, client } = await startServer(t, { engine });
  const chunks = toChunks(await readEvents(await post("/v1/chat/completions", hello)));
  const streamed = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
  const whole = await client.chat.completions.create({
    model: "fake",
    messages: [{ role: "user", content: "Hi" }],
  });
  t.is(streamed, "😀한 שלום👍");
  t.is(whole.choices[0]?.message.content, streamed);
});

test("D03 D04 D05 D06: tokens whose text is held back send no piece, and stop strings reach the engine", async (t) => {
  const engine = playing({ steps: ["ABC", "", "", ""], heldBack: "" });
  const { post } = await startServer(t, { engine });
  const body = { ...hello, stop: ["DEFGHIJ", "\nUser:"] };
  const chunks = toChunks(await readEvents(await post("/v1/chat/completions", body)));
  t.deepEqual(engine.requests[0]?.stop, ["DEFGHIJ", "\nUser:"]);
  t.deepEqual(
    chunks.map(({ choices }) => choices[0]?.delta),
    [{ role: "assistant", content: "" }, { content: "ABC" }, {}],
  );
});

test("D07 D08 D09: usage comes in one last chunk with empty choices, and is null before", async (t) => {
  const { post } = await startServer(t);
  const body = { ...hello, stream_options: { include_usage: true } };
  const chunks = toChunks(await readEvents(await post("/v1/chat/completions", body)));
  const last = chunks.at(-1);
  t.deepEqual(last?.choices, []);
  t.deepEqual(last?.usage as object, {
    prompt_tokens: 2,
    completion_tokens: 2,
    total_tokens: 4,
    prompt_tokens_details: { cached_tokens: 0 },
  });
  t.true(chunks.slice(0, -1).every(({ usage }) => usage === null));
  t.is(chunks.at(-2)?.choices[0]?.finish_reason, "stop");
});

test("without include_usage no chunk has a usage field", async (t) => {
  const { post } = await startServer(t);
  const chunks = toChunks(await readEvents(await post("/v1/chat/completions", hello)));
  t.true(chunks.every((chunk) => !("usage" in chunk)));
});

test("D10: the role is in the first delta of each choice and only there", async (t) => {
  const { post } = await startServer(t);
  const body = { ...hello, n: 2 };
  const chunks = toChunks(await readEvents(await post("/v1/chat/completions", body)));
  for (const index of [0, 1]) {
    const [first, ...others] = chunks.flatMap(({ choices }) =>
      choices.filter((choice) => choice.index === index).map(({ delta }) => delta),
    );
    t.deepEqual(first, { role: "assistant", content: "" });
    t.is(others.length, 3);
    t.true(others.every((delta) => !("role" in delta)));
  }
});

test("D11: comment lines keep a silent stream alive until the first token", async (t) => {
  const prefill = new Gate();
  const engine = playing({ steps: [{ hold: prefill }, "late"] });
  const { post } = await startServer(t, { engine, keepAliveSeconds: 0.01 });
  const response = await post("/v1/chat/completions", hello);
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of response.body!) {
    text += decoder.decode(bytes as Uint8Array, { stream: true });
    if (text.split(": keep-alive\n\n").length > 2) prefill.open();
  }
  t.true(text.indexOf(": keep-alive\n\n") < text.indexOf("late"));
  t.true(text.endsWith("data: [DONE]\n\n"));
});

test("the official client reads a stream with comment lines", async (t) => {
  const prefill = new Gate();
  const engine = playing({ steps: [{ hold: prefill }, "late"] });
  const { client } = await startServer(t, { engine, keepAliveSeconds: 0.01 });
  const stream = await client.chat.completions.create({
    model: "fake",
    messages: [{ role: "user", content: "Hi" }],
    stream: true,
  });
  let text = "";
  for await (const chunk of stream) {
    prefill.open();
    text += chunk.choices[0]?.delta.content ?? "";
  }
  t.is(text, "late");
});

test("D12: a stream with n 0 is refused with 400 and the connection ends", async (t) => {
  const { post } = await startServer(t);
  const response = await post("/v1/chat/completions", { ...hello, n: 0 });
  t.is(response.status, 400);
  t.is(response.headers.get("content-type"), "application/json; charset=utf-8");
  const { error } = (await response.json()) as { error: { param: string } };
  t.is(error.param, "n");
});

test("D13: an error after the first byte is an event, and the stream ends without [DONE]", async (t) => {
  const engine = playing({ steps: ["Hel", { fail: new InferenceError("The device was lost.") }] });
  const { post, client } = await startServer(t, { engine });
  const events = await readEvents(await post("/v1/chat/completions", hello));
  t.deepEqual(JSON.parse(events.at(-1)!), {
    error: {
      message: "The model failed on this request. The failure has been logged.",
      type: "server_error",
      param: null,
      code: "inference",
    },
  });
  const stream = await client.chat.completions.create({
    model: "fake",
    messages: [{ role: "user", content: "Hi" }],
    stream: true,
  });
  const read = async () => {
    for await (const chunk of stream) t.truthy(chunk.id);
  };
  await t.throwsAsync(read, { message: /model failed on this request/ });
});

test("an error before the first token is a status and a JSON body when not streaming", async (t) => {
  const engine = playing({ steps: ["Hel", { fail: new InferenceError("The device was lost.") }] });
  const { post } = await startServer(t, { engine });
  const response = await post("/v1/chat/completions", { ...hello, stream: false });
  t.is(response.status, 500);
});

test("D15: finish reasons are stop and length", async (t) => {
  const { client } = await startServer(t);
  const messages = [{ role: "user" as const, content: "Hi" }];
  const stopped = await client.chat.completions.create({ model: "fake", messages });
  t.is(stopped.choices[0]?.finish_reason, "stop");
  const cut = await client.chat.completions.create({ model: "fake", messages, max_tokens: 1 });
  t.is(cut.choices[0]?.finish_reason, "length");
  t.is(cut.choices[0]?.message.content, "Hello");
});

test("a client that reads slowly pauses its answer and still gets all of it", async (t) => {
  const piece = "x".repeat(100_000);
  const engine = playing({ steps: Array.from({ length: 200 }, () => piece) });
  const { post } = await startServer(t, { engine });
  const response = await post("/v1/chat/completions", hello);
  let taken = 0;
  engine.onStep = () => taken++;
  await engine.until(() => taken > 5);
  const takenUnread = taken;
  const chunks = toChunks(await readEvents(response));
  t.true(takenUnread < 150, `${takenUnread} pieces were taken while nothing was read`);
  const length = chunks.reduce(
    (sum, { choices }) => sum + (choices[0]?.delta.content ?? "").length,
    0,
  );
  t.is(length, 200 * piece.length);
});
