import test from "ava";
import type { Express } from "express";
import { fetchDocument, routesOf, SchemaChecker } from "../../helpers/openapi.ts";
import { readEvents, startServer } from "../../helpers/start-server.ts";

const messages = [{ role: "user", content: "Hi" }];

test("every route of the application is in the document, and no other", async (t) => {
  const server = await startServer(t);
  const { paths } = await fetchDocument(server);
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const [app] = server.server.listeners("request");
  t.deepEqual(described.sort(), [...routesOf(app as Express)].sort());
});

test("operations have different names, and all references lead somewhere", async (t) => {
  const document = await fetchDocument(await startServer(t));
  t.is(document.openapi, "3.1.0");
  const ids = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId),
  );
  t.is(new Set(ids).size, ids.length);
  for (const [, pointer] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const found = pointer!
      .split("/")
      .reduce<unknown>(
        (value, key) => (value as Record<string, unknown> | undefined)?.[key],
        document,
      );
    t.truthy(found, pointer);
  }
});

for (const [path, request, fitting, unfitting] of [
  [
    "/v1/chat/completions",
    "ChatCompletionRequest",
    [
      { messages },
      { messages, temperature: null, stop: "x", max_tokens: 3 },
      { messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }] },
      { messages: [...messages, { role: "assistant" }, ...messages] },
      { messages, unheard_of: 1 },
    ],
    [{}, { messages: [] }, { messages, temperature: -1 }, { messages: [{ role: "user" }] }],
  ],
  [
    "/v1/completions",
    "CompletionRequest",
    [{ prompt: "a" }, { prompt: ["a", "b"] }, { prompt: [1, 2] }, { prompt: [[1], [2]] }],
    [{}, { prompt: [] }, { prompt: 1 }, { prompt: "a", n: 0 }],
  ],
  [
    "/v1/responses",
    "ResponseRequest",
    [
      { input: "Hi" },
      { input: messages, instructions: "Be kind", temperature: 0, metadata: null },
      { input: [{ role: "user", content: [{ type: "input_text", text: "Hi" }] }] },
      { input: [{ type: "message", role: "assistant", content: "Hi" }, ...messages] },
      { input: [{ type: "reasoning", summary: [] }, ...messages], truncation: "auto" },
      { input: "Hi", tools: [{ type: "web_search" }], reasoning: { effort: "low" } },
    ],
    [
      {},
      { input: [] },
      { input: 1 },
      { input: [{ type: "computer_call" }] },
      { input: "Hi", truncation: "middle" },
      { input: "Hi", tools: [{ type: "function" }] },
      { input: "Hi", max_output_tokens: 0 },
    ],
  ],
  [
    "/v1/embeddings",
    "EmbeddingRequest",
    [{ input: "a" }, { input: ["a", "b"], encoding_format: "base64" }, { input: [1, 2] }],
    [{}, { input: [] }, { input: "a", encoding_format: "hex" }, { input: "a", dimensions: 0 }],
  ],
  ["/v1/route", "RouteRequest", [{ prompt: "a" }, { messages }], [{ prompt: 1 }]],
  ["/tokenize", "TokenizeRequest", [{ prompt: "a" }, { messages }], [{ prompt: 1 }]],
  ["/detokenize", "DetokenizeRequest", [{ tokens: [] }], [{}, { tokens: [-1] }]],
  [
    "/apply-template",
    "ApplyTemplateRequest",
    [{ messages }, { messages, tools: [{ type: "function", function: { name: "f" } }] }],
    [{ messages: "Hi" }, { messages, tools: [{}] }],
  ],
] as const) {
  test(`${path} takes what fits the document, and refuses what does not`, async (t) => {
    const server = await startServer(t);
    const document = await fetchDocument(server);
    const checker = new SchemaChecker(document);
    const { requestBody } = document.paths[path]!["post"]!;
    t.deepEqual(requestBody?.content["application/json"].schema, {
      $ref: `#/components/schemas/${request}`,
    });
    for (const body of fitting) {
      t.is(checker.problemOf(request, body), null);
      t.is((await server.post(path, body)).status, 200);
    }
    for (const body of unfitting) {
      t.not(checker.problemOf(request, body), null);
      const response = await server.post(path, body);
      t.is(response.status, 400);
      t.is(checker.problemOf("Error", await response.json()), null);
    }
  });
}

test("what may be said in an address is in the document", async (t) => {
  const { paths } = await fetchDocument(await startServer(t));
  const { parameters } = paths["/v1/responses/{id}/input_items"]!["get"]!;
  t.like(parameters, [
    { name: "id", in: "path", required: true },
    { name: "limit", in: "query", schema: { type: "integer", minimum: 1, maximum: 100 } },
    { name: "order", in: "query", schema: { enum: ["asc", "desc"], default: "desc" } },
    { name: "after", in: "query", schema: { type: "string" } },
  ]);
});

test("answers are what the document says", async (t) => {
  const server = await startServer(t);
  const checker = new SchemaChecker(await fetchDocument(server));
  const asked: [string, () => Promise<Response>][] = [
    ["ChatCompletion", () => server.post("/v1/chat/completions", { messages })],
    ["Completion", () => server.post("/v1/completions", { prompt: ["a", "b"] })],
    ["EmbeddingList", () => server.post("/v1/embeddings", { input: "a" })],
    ["RouteExplanation", () => server.post("/v1/route", { messages })],
    ["Response", () => server.post("/v1/responses", { input: "Hi" })],
    ["ModelList", () => server.get("/v1/models")],
    ["Model", () => server.get("/v1/models/fake")],
    ["Error", () => server.get("/v1/models/other")],
    ["Tokens", () => server.post("/tokenize", { prompt: "é", with_pieces: true })],
    ["Text", () => server.post("/detokenize", { tokens: [97] })],
    ["RenderedPrompt", () => server.post("/apply-template", { messages })],
    ["TokenizerInfo", () => server.get("/tokenizer_info")],
    ["ExpertList", () => server.get("/v1/experts")],
    ["RouterMap", () => server.get("/v1/router/map")],
    ["Status", () => server.get("/ready")],
  ];
  for (const [name, response] of asked) {
    t.is(checker.problemOf(name, await (await response()).json()), null, name);
  }
});

test("streamed pieces are what the document says", async (t) => {
  const server = await startServer(t);
  const checker = new SchemaChecker(await fetchDocument(server));
  for (const [name, path, body] of [
    ["ChatCompletionChunk", "/v1/chat/completions", { messages }],
    ["Completion", "/v1/completions", { prompt: "a" }],
    ["ResponseEvent", "/v1/responses", { input: "a" }],
  ] as const) {
    const stream_options = { include_usage: true };
    const response = await server.post(path, { ...body, stream: true, stream_options });
    for (const event of await readEvents(response)) {
      if (event === "[DONE]") continue;
      t.is(checker.problemOf(name, JSON.parse(event)), null, event);
    }
  }
});
