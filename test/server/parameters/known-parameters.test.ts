import { readFileSync } from "node:fs";
import test from "ava";
import { format, resolveConfig } from "prettier";
import type { GenerateRequest } from "../../../engine/contract/request.ts";
import { aliases } from "../../../server/parameters/aliases.ts";
import { parametersDocument } from "../../../server/parameters/document.ts";
import {
  knownInChat,
  knownInCompletions,
  knownInResponses,
} from "../../../server/parameters/known-parameters.ts";
import type { ParameterTable } from "../../../server/parameters/parameter-table.ts";
import { fetchDocument } from "../../helpers/openapi.ts";
import { startServer } from "../../helpers/start-server.ts";

const messages = [{ role: "user" as const, content: "Hi" }];
const chat = "/v1/chat/completions";

interface ErrorReply {
  readonly error: { readonly message: string; readonly param: string; readonly code: string };
}

const endpoints: readonly (readonly [path: string, body: object, known: ParameterTable])[] = [
  [chat, { messages }, knownInChat],
  ["/v1/completions", { prompt: "Hi" }, knownInCompletions],
  ["/v1/responses", { input: "Hi" }, knownInResponses],
];

for (const [path, body, known] of endpoints) {
  test(`E09: what ${path} knows by name is refused by name, or changes nothing`, async (t) => {
    const server = await startServer(t);
    for (const [name, parameter] of Object.entries(known)) {
      if (parameter.kind === "idle") continue;
      const penalized = { ...body, repetition_penalty: 1.1 };
      const refused = await server.post(path, { ...penalized, [name]: "something else" });
      t.is(refused.status, 400, name);
      const { error } = (await refused.json()) as ErrorReply;
      t.like(error, { code: "unsupported_parameter", param: name });
      for (const neutral of parameter.neutral) {
        const response = await server.post(path, { ...body, [name]: neutral });
        t.is(response.status, 200, `${name} ${JSON.stringify(neutral)}`);
      }
    }
    const idle = Object.keys(known).filter((name) => known[name]!.kind === "idle");
    t.true(idle.length > 20);
    for (const value of [1, "text", [{}], { a: 1 }]) {
      const fields = Object.fromEntries(idle.map((name) => [name, value]));
      t.is((await server.post(path, { ...body, ...fields })).status, 200);
    }
    t.false(server.logLines.some((line) => line.includes("unknown request field")));
  });
}

/** What the engine is asked for. */
async function requested(
  ask: (path: string, body: object) => Promise<Response>,
  requests: readonly GenerateRequest[],
  body: object,
): Promise<GenerateRequest> {
  await ask(chat, { messages, seed: 1, ...body });
  return { ...requests.at(-1)!, id: "" };
}

test("E09: other servers' names of a parameter are that parameter, under which its own name wins", async (t) => {
  const { post, engine } = await startServer(t);
  const values = { max_tokens: 7, repetition_penalty: 1.5 };
  for (const [alias, own] of Object.entries(aliases)) {
    const [value, other] = [values[own], { max_tokens: 9, repetition_penalty: 1.1 }[own]];
    const expected = await requested(post, engine.requests, { [own]: value });
    t.deepEqual(await requested(post, engine.requests, { [alias]: value }), expected);
    const both = { [alias]: other, [own]: value };
    t.deepEqual(await requested(post, engine.requests, both), expected);
    const refused = await post(chat, { messages, [alias]: "x" });
    t.is(((await refused.json()) as ErrorReply).error.param, alias);
  }
});

test("E09: what a request says of single tokens reaches the engine", async (t) => {
  const { post, engine } = await startServer(t);
  const request = await requested(post, engine.requests, {
    min_tokens: 2,
    stop_token_ids: [5],
    allowed_token_ids: [1, 33, 999],
    bad_words: ["ab", ""],
    include_stop_str_in_output: true,
    skip_special_tokens: false,
    repeat_last_n: 64,
  });
  t.like(request, { minTokens: 2, stopTokenIds: [5], includeStop: true, keepControl: true });
  t.is(request.sampling.repetitionWindow, 64);
  // At the beginning of a text, and behind a blank.
  t.deepEqual(request.bannedTokens, [
    [97, 98],
    [32, 97, 98],
  ]);
  const words = [...request.allowedTokens!.entries()].filter(([, bits]) => bits !== 0);
  t.deepEqual(words, [
    [0, 2],
    [1, 2],
    [31, 1 << 7],
  ]);
});

for (const [param, body] of [
  ["stop_token_ids", { stop_token_ids: [1000] }],
  ["allowed_token_ids", { allowed_token_ids: [0, 1000] }],
  ["allowed_token_ids", { allowed_token_ids: [] }],
  ["min_tokens", { min_tokens: 6, max_tokens: 5 }],
  ["min_tokens", { min_tokens: 1000 }],
  ["bad_words", { bad_words: "word" }],
  ["bad_words", { bad_words: Array.from({ length: 257 }, String) }],
  ["bad_words[0]", { bad_words: ["x".repeat(201)] }],
  ["repeat_last_n", { repeat_last_n: -2 }],
  ["truncate_prompt_tokens", { truncate_prompt_tokens: 0 }],
] as const) {
  test(`E09: ${JSON.stringify(body).slice(0, 50)} is refused naming ${param}`, async (t) => {
    const { post } = await startServer(t);
    const response = await post(chat, { messages, ...body });
    t.is(response.status, 400);
    t.is(((await response.json()) as ErrorReply).error.param, param);
  });
}

test("E14: a limit of -1 is none, whatever its name, and empty stop strings are none", async (t) => {
  const { post, engine } = await startServer(t);
  for (const field of ["max_tokens", "max_completion_tokens", "n_predict", "num_predict"]) {
    for (const stop of ["", [""], ["", null], [], null]) {
      const request = await requested(post, engine.requests, { [field]: -1, stop });
      t.is(request.maxTokens, 254);
      t.deepEqual(request.stop, []);
    }
  }
  await post("/v1/completions", { prompt: "Hi", max_tokens: -1, stop: ["", "a"] });
  t.like(engine.requests.at(-1), { maxTokens: 254, stop: ["a"] });
  const response = await post("/v1/responses", { input: "Hi", max_output_tokens: -1 });
  t.like(await response.json(), { max_output_tokens: null });
  t.is(engine.requests.at(-1)?.maxTokens, 254);
});

test("a prompt is cut to its last tokens where that is asked for, or to what fits", async (t) => {
  const { post, engine } = await startServer(t);
  const prompt = `${"x".repeat(299)}ab`;
  const cut = async (body: object) => {
    const response = await post("/v1/completions", { prompt, ...body });
    t.is(response.status, 200);
    return engine.requests.at(-1)!.promptTokenIds;
  };
  t.deepEqual([...(await cut({ truncate_prompt_tokens: 2 }))], [97, 98]);
  t.is((await cut({ truncate_prompt_tokens: -1, max_tokens: 6 })).length, 250);
  t.is((await cut({ truncate_prompt_tokens: -1, max_tokens: -1 })).length, 255);
  const echoed = await post("/v1/completions", { prompt, truncate_prompt_tokens: 2, echo: true });
  t.like(await echoed.json(), { choices: [{ text: "abHello world" }] });
});

test("docs/parameters.md is what npm run docs:parameters makes of the tables, and OpenAPI has them too", async (t) => {
  const path = "docs/parameters.md";
  const options = await resolveConfig(path);
  const expected = await format(parametersDocument(), { ...options, parser: "markdown" });
  t.is(readFileSync(path, "utf8"), expected);
  const { components } = await fetchDocument(await startServer(t));
  const { properties } = components.schemas["ChatCompletionRequest"] as {
    readonly properties: Readonly<Record<string, unknown>>;
  };
  for (const name of Object.keys(knownInChat)) t.true(Object.hasOwn(properties, name), name);
  t.like(properties["dry_multiplier"], { enum: [0, null] });
});
