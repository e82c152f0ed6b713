import test from "ava";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { openSocket } from "../../helpers/open-socket.ts";
import { startServer } from "../../helpers/start-server.ts";

const header = "x-seap-unenforced";
const messages = [{ role: "user", content: "Hi" }];
const schema = {
  type: "object",
  properties: {
    "a, é": { type: "string", pattern: "\\bx" },
    b: { type: "array", uniqueItems: true },
  },
};
const places = ["a\\u002c \\u00e9.pattern", "b.uniqueItems"].map((name) => `properties.${name}`);

function listed(field: string): string {
  return places.map((place) => `${field}.${place}`).join(", ");
}

const asked: readonly (readonly [
  path: string,
  field: string,
  body: (strict: boolean) => object,
])[] = [
  [
    "/v1/chat/completions",
    "tools[0].function.parameters",
    (strict) => ({
      messages,
      tools: [{ type: "function", function: { name: "f", strict, parameters: schema } }],
    }),
  ],
  [
    "/v1/chat/completions",
    "response_format.json_schema.schema",
    (strict) => ({
      messages,
      response_format: { type: "json_schema", json_schema: { name: "x", strict, schema } },
    }),
  ],
  [
    "/v1/responses",
    "tools[0].parameters",
    (strict) => ({
      input: "Hi",
      tools: [{ type: "function", name: "f", strict, parameters: schema }],
    }),
  ],
  [
    "/v1/responses",
    "text.format.schema",
    (strict) => ({
      input: "Hi",
      text: { format: { type: "json_schema", name: "x", strict, schema } },
    }),
  ],
];

for (const [path, field, body] of asked) {
  test(`E03: ${path} says in a header what of ${field} is not enforced, and refuses it where it is strict`, async (t) => {
    const engine = new FakeEngine({ contextLength: 10_000 });
    const server = await startServer(t, {
      engine,
      security: { corsOrigins: ["http://a.example"] },
    });
    const headers = { "content-type": "application/json", origin: "http://a.example" };
    for (const stream of [false, true]) {
      const response = await server.post(path, { ...body(false), stream }, { headers });
      t.is(response.status, 200);
      t.is(response.headers.get(header), listed(field));
      t.regex(response.headers.get("access-control-expose-headers")!, new RegExp(header));
      await response.text();
    }
    const lines = server.logLines.filter((line) => line.includes("not enforced"));
    t.is(lines.length, 1);
    const refused = await server.post(path, body(true), { headers });
    t.is(refused.status, 400);
    t.like(await refused.json(), { error: { param: `${field}.properties.a, é` } });
  });
}

test("E03: fields without a word on strictness are enforced as far as they can be", async (t) => {
  const { post } = await startServer(t);
  for (const body of [
    { guided_json: schema },
    { structured_outputs: { json: JSON.stringify(schema) } },
    { json_schema: schema },
    { response_format: { type: "json_object", schema } },
  ]) {
    const response = await post("/v1/chat/completions", { messages, ...body });
    t.is(response.status, 200);
    t.regex(response.headers.get(header)!, /b\.uniqueItems$/);
  }
  const response = await post("/v1/chat/completions", {
    messages,
    guided_json: { type: "object" },
  });
  t.is(response.headers.get(header), null);
});

test("E03: a WebSocket's start lists the places, and a header no more than it can hold", async (t) => {
  const { url, post } = await startServer(t);
  const { send, untilEnd } = await openSocket(t, url);
  send({ type: "chat", id: "a", body: { messages, guided_json: schema } });
  t.like((await untilEnd("a"))[0], {
    type: "start",
    unenforced: ["guided_json.properties.a, é.pattern", "guided_json.properties.b.uniqueItems"],
  });
  send({ type: "chat", id: "b", body: { messages } });
  t.false("unenforced" in (await untilEnd("b"))[0]!);
  const many = Array.from({ length: 500 }, (_, i) => [`${i}`, { uniqueItems: true }]);
  const guided_json = { properties: Object.fromEntries(many) as object };
  const response = await post("/v1/chat/completions", { messages, guided_json });
  const text = response.headers.get(header)!;
  t.true(text.length < 1100);
  t.regex(text, /, and 4\d\d more$/);
});
