import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { ConfigError } from "../../../server/base/config-error.ts";
import { parseConfig } from "../../../server/config/config.ts";
import { ApiKeys } from "../../../server/security/api-keys.ts";
import { InvalidApiKeyError } from "../../../server/base/access-errors.ts";
import { readApiKeys } from "../../../server/config/read-api-keys.ts";
import { createSecurity, isLoopback } from "../../../server/security/security.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { startServer } from "../../helpers/start-server.ts";

const hello = { messages: [{ role: "user", content: "a private question" }] };
const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

test("any of several keys opens the server, and no other text does", async (t) => {
  const { get } = await startServer(t, { security: { apiKey: ["first-key", "second-key"] } });
  for (const key of ["first-key", "second-key"]) {
    t.is((await get("/v1/models", bearer(key))).status, 200, key);
  }
  for (const key of ["first-ke", "first-keyy", "First-key", "first-key,second-key", "x"]) {
    t.is((await get("/v1/models", bearer(key))).status, 401, key);
  }
  t.is((await get("/v1/models", { headers: { authorization: "bearer first-key" } })).status, 200);
  t.is((await get("/v1/models", { headers: { authorization: "Basic first-key" } })).status, 401);
  t.is((await get("/v1/models")).status, 401);
});

test("a refusal is spelled as the OpenAI API does, and the official client reads it", async (t) => {
  const { get, client } = await startServer(t, { security: { apiKey: ["the-key"] } });
  const response = await get("/v1/models", bearer("a-guess"));
  t.is(response.headers.get("www-authenticate"), "Bearer");
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  t.like(error, { type: "invalid_request_error", code: "invalid_api_key", param: null });
  // LiteLLM tells a wrong key from a wrong request by these words.
  t.regex(String(error["message"]), /^Incorrect API key provided/);
  t.false(String(error["message"]).includes("a-guess"));
  const failure = await t.throwsAsync(client.models.list());
  t.like(failure, { status: 401, code: "invalid_api_key" });
  const right = await client.withOptions({ apiKey: "the-key" }).models.list();
  t.is(right.data.length, 2);
});

test("D52: health and readiness answer without a key, metrics by their own switch", async (t) => {
  const closed = await startServer(t, { security: { apiKey: ["key"] } });
  t.is((await closed.get("/health")).status, 200);
  t.is((await closed.get("/ready")).status, 200);
  t.is((await closed.get("/metrics")).status, 401);
  t.is((await closed.get("/metrics", bearer("key"))).status, 200);
  const open = await startServer(t, { security: { apiKey: ["key"], metricsOpen: true } });
  t.is((await open.get("/metrics")).status, 200);
  t.is((await open.get("/v1/models")).status, 401);
});

test("every other path and method asks for the key, also those that are nowhere", async (t) => {
  const { url } = await startServer(t, { security: { apiKey: ["key"], metricsOpen: true } });
  const paths = [
    "/v1/models",
    "/v1/models/org/fake",
    "/V1/MODELS/",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/route",
    "/v1/experts",
    "/v1/ws",
    "/tokenize",
    "/detokenize",
    "/apply-template",
    "/tokenizer_info",
    "/nowhere",
    "/health/../v1/models",
    "//health",
    "/health%2f",
  ];
  for (const path of paths) {
    for (const method of ["GET", "HEAD", "POST", "DELETE", "OPTIONS"]) {
      const response = await fetch(`${url}${path}`, { method });
      t.is(response.status, 401, `${method} ${path}`);
      await response.text();
    }
  }
});

test("a request without a key is refused before its body is read", async (t) => {
  const { post, engine } = await startServer(t, { security: { apiKey: ["key"] } });
  const response = await post("/v1/chat/completions", "{ not JSON");
  t.is(response.status, 401);
  t.is(engine.requests.length, 0);
});

test("neither keys nor prompts are logged, whatever the level", async (t) => {
  const security = { apiKey: ["the-secret-key"] };
  const { post, logLines } = await startServer(t, { security });
  for (const key of ["the-secret-key", "a-wrong-key"]) {
    const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
    const response = await post("/v1/chat/completions", hello, { headers });
    await response.text();
    await (await post("/v1/chat/completions", "{a private question", { headers })).text();
  }
  t.true(logLines.length > 2);
  t.notRegex(logLines.join(""), /secret-key|wrong-key|private question/);
});

test("keys come from the variable, and from a file with one a line", (t) => {
  const folder = tempDir(t);
  const file = join(folder, "keys");
  writeFileSync(file, "\uFEFF# team A\r\nkey-a\r\n\n  key-b  \n#key-c\nkey-a");
  const { config } = parseConfig({ args: [], env: { SEAP_API_KEY: "key-1, key-2" } });
  t.deepEqual(readApiKeys(config.apiKey ?? [], file), ["key-1", "key-2", "key-a", "key-b"]);
});

test("a file without a key, or with a line that is none, is refused without repeating it", (t) => {
  const folder = tempDir(t);
  const refuse = (text: string) => {
    const file = join(folder, "keys");
    writeFileSync(file, text);
    const error = t.throws(() => readApiKeys([], file), { instanceOf: ConfigError });
    return error?.message ?? "";
  };
  t.regex(refuse("# nothing\n"), /at least one key/);
  const message = refuse("good\nsecret with spaces\n");
  t.regex(message, /line 2/);
  t.notRegex(message, /secret/);
  t.throws(() => readApiKeys([], join(folder, "absent")), { message: /--api-key-file: ENOENT/ });
  const env = { SEAP_API_KEY: "secret one,secret two" };
  const error = t.throws(() => parseConfig({ args: [], env }), { instanceOf: ConfigError });
  t.regex(error?.message ?? "", /^SEAP_API_KEY: expected keys/);
  t.notRegex(error?.message ?? "", /secret/);
});

test("without keys a client is its address, and all of an IPv6 /64 is one client", (t) => {
  const open = new ApiKeys([]);
  const client = (address: string) => open.clientOf(undefined, address);
  t.is(client("::ffff:10.0.0.1"), client("10.0.0.1"));
  t.not(client("10.0.0.1"), client("10.0.0.2"));
  t.is(client("2001:db8:1:2:3:4:5:6"), client("2001:db8:1:2::9"));
  t.not(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
  t.is(client("::1"), "address 0:0:0:0::/64");
  const closed = new ApiKeys(["a", "b"]);
  t.is(closed.clientOf("Bearer b", "10.0.0.1"), closed.clientOf("Bearer b", "10.0.0.2"));
  t.not(closed.clientOf("Bearer a", "10.0.0.1"), closed.clientOf("Bearer b", "10.0.0.1"));
  t.throws(() => closed.clientOf("Bearer c", "10.0.0.1"), { instanceOf: InvalidApiKeyError });
});

test("the server warns when others can reach it and it asks for no key", async (t) => {
  const warned = (lines: readonly string[]) =>
    lines.some((line) => line.includes("asks for no key"));
  const local = await startServer(t);
  t.false(warned(local.logLines));
  const reachable = await startServer(t, { host: "0.0.0.0" });
  t.true(warned(reachable.logLines));
  const guarded = await startServer(t, { host: "0.0.0.0", security: { apiKey: ["key"] } });
  t.false(warned(guarded.logLines));
  t.true(["127.0.0.1", "127.8.9.1", "::1", "localhost"].every(isLoopback));
  t.false(["0.0.0.0", "::", "10.0.0.1", "example.com"].some(isLoopback));
});

test("security is off until it is configured", (t) => {
  const { config } = parseConfig({ args: [], env: {} });
  const { keys, origins, isMetricsOpen } = createSecurity(config, () => 0);
  t.false(keys.areRequired);
  t.true(origins.isEmpty);
  t.false(isMetricsOpen);
  t.is(config.host, "127.0.0.1");
});
