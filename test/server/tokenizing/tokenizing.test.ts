import test from "ava";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

const messages = [
  { role: "system", content: "Be " },
  { role: "user", content: [{ type: "text", text: "kind" }] },
];

test("/tokenize takes vLLM's prompt, with its start token unless that is not wanted", async (t) => {
  const { post } = await startServer(t);
  const response = await post("/tokenize", { model: "fake", prompt: "ab" });
  t.is(response.status, 200);
  t.deepEqual(await response.json(), {
    count: 3,
    max_model_len: 256,
    tokens: [94, 97, 98],
    token_strs: null,
  });
  const bare = await post("/tokenize", {
    prompt: "ab",
    add_special_tokens: false,
    return_token_strs: true,
  });
  t.like(await bare.json(), { count: 2, tokens: [97, 98], token_strs: ["a", "b"] });
});

test("D53: /tokenize takes llama.cpp's content too, without a start token unless it is wanted", async (t) => {
  const { post } = await startServer(t);
  t.like(await (await post("/tokenize", { content: "ab" })).json(), { tokens: [97, 98] });
  const special = await post("/tokenize", { content: "ab", add_special: true });
  t.like(await special.json(), { tokens: [94, 97, 98] });
});

test("/tokenize gives the pieces as text, or as bytes where they are no whole characters", async (t) => {
  const { post } = await startServer(t);
  const response = await post("/tokenize", { content: "aé", with_pieces: true });
  t.like(await response.json(), {
    tokens: [
      { id: 97, piece: "a" },
      { id: 233, piece: [0xc3] },
    ],
  });
});

test("/tokenize and /apply-template render messages as chat does, and without the assistant's turn", async (t) => {
  const { post } = await startServer(t);
  t.like(await (await post("/tokenize", { messages })).json(), { count: 7 });
  const open = await post("/tokenize", { messages, add_generation_prompt: false });
  t.like(await open.json(), { count: 8 });
  t.deepEqual(await (await post("/apply-template", { messages })).json(), { prompt: "Be kind" });
});

test("/tokenize and /apply-template show tools, calls and what they gave as chat does", async (t) => {
  const engine = new FakeEngine({ contextLength: 10_000 });
  const { post } = await startServer(t, { engine });
  const tools = ["get_weather", "now"].map((name) => ({ type: "function", function: { name } }));
  const call = { id: "1", type: "function", function: { name: "now", arguments: "{}" } };
  const conversation = [
    { role: "user", content: "What time is it?" },
    { role: "assistant", content: null, tool_calls: [call] },
    { role: "tool", content: "12:00", tool_call_id: "1" },
  ];
  const lengths = new Set<number>();
  for (const tool_choice of [
    "auto",
    "required",
    "none",
    { type: "function", function: { name: "now" } },
  ]) {
    const body = { messages: conversation, tools, tool_choice, parallel_tool_calls: false };
    t.is((await post("/v1/chat/completions", body)).status, 200);
    const tokens = [...engine.requests.at(-1)!.promptTokenIds];
    lengths.add(tokens.length);
    t.like(await (await post("/tokenize", body)).json(), { tokens });
    const { prompt } = (await (await post("/apply-template", body)).json()) as { prompt: string };
    t.true(prompt.includes("<tool_call>") && prompt.includes("12:00"));
    t.is(prompt.includes("get_weather"), tool_choice === "auto" || tool_choice === "required");
    t.deepEqual(
      Array.from(prompt, (character) => character.codePointAt(0)!),
      tokens,
    );
  }
  t.is(lengths.size, 3);
});

test("/detokenize gives the text under both names, also of no tokens", async (t) => {
  const { post } = await startServer(t);
  const response = await post("/detokenize", { tokens: [97, 98] });
  t.deepEqual(await response.json(), { prompt: "ab", content: "ab" });
  t.like(await (await post("/detokenize", { tokens: [] })).json(), { prompt: "" });
});

test("/tokenizer_info speaks as tokenizer_config.json does", async (t) => {
  const { get } = await startServer(t);
  t.deepEqual(await (await get("/tokenizer_info")).json(), {
    tokenizer_class: "FakeTokenizer",
    vocab_size: 1000,
    model_max_length: 256,
    bos_token: "^",
    eos_token: "$",
    pad_token: null,
    add_bos_token: true,
    chat_template: "{{ messages }}",
  });
});

for (const [path, body, param] of [
  ["/tokenize", {}, "prompt"],
  ["/tokenize", { prompt: "a", content: "a" }, "prompt"],
  ["/tokenize", { prompt: 1 }, "prompt"],
  ["/tokenize", { messages, add_special_tokens: true }, "add_special_tokens"],
  ["/tokenize", { messages, chat_template: "{{ x }}" }, "chat_template"],
  ["/detokenize", { tokens: [1000] }, "tokens[0]"],
  ["/detokenize", { tokens: [1.5] }, "tokens[0]"],
  ["/detokenize", { tokens: [1, -1] }, "tokens[1]"],
  ["/detokenize", {}, "tokens"],
  ["/apply-template", { messages, chat_template: "{{ messages }}" }, "chat_template"],
  ["/apply-template", { messages: [] }, "messages"],
  ["/apply-template", { messages, tools: [{ type: "function" }] }, "tools[0].function"],
  ["/tokenize", { messages, tool_choice: "required" }, "tool_choice"],
] as const) {
  test(`${path} refuses ${JSON.stringify(body)}, naming ${param}`, async (t) => {
    const { post } = await startServer(t);
    const response = await post(path, body);
    t.is(response.status, 400);
    t.like(await response.json(), { error: { param } });
  });
}

test("a model that is not served is not found, a template that refuses is a bad request", async (t) => {
  const { post } = await startServer(t);
  t.is((await post("/tokenize", { model: "other", prompt: "a" })).status, 404);
  const refused = await post("/apply-template", {
    messages: [{ role: "user", content: "refuse me" }],
  });
  t.is(refused.status, 400);
  t.like(await refused.json(), { error: { code: "chat_template" } });
});

test("E14: what a request says of its template reaches it, in chat and where the prompt is shown", async (t) => {
  const { post, codec } = await startServer(t);
  const body = { messages, chat_template_kwargs: { enable_thinking: false } };
  await post("/apply-template", { ...body, add_generation_prompt: false });
  await post("/tokenize", { ...body, continue_final_message: true });
  await post("/v1/chat/completions", { ...body, reasoning_effort: "low" });
  const variables = { enable_thinking: false };
  t.deepEqual(codec.renderings, [
    { addGenerationPrompt: false, variables },
    { addGenerationPrompt: false, continuesFinalMessage: true, variables },
    { addGenerationPrompt: true, variables: { reasoning_effort: "low", ...variables } },
  ]);
});
