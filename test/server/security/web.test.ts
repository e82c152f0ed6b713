import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import test from "ava";
import { ConfigError } from "../../../server/base/config-error.ts";
import { parseConfig } from "../../../server/config/config.ts";
import { AllowedOrigins } from "../../../server/security/cors.ts";
import { expertSnapshot } from "../../helpers/expert-snapshot.ts";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

const app = "https://app.example.com";
const preflight = {
  method: "OPTIONS",
  headers: {
    origin: app,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-lang",
  },
};

function corsHeaders(response: Response): string[] {
  return [...response.headers.keys()].filter((name) => name.startsWith("access-control-"));
}

test("without configured origins no page of another site may read an answer", async (t) => {
  const { get } = await startServer(t);
  t.deepEqual(corsHeaders(await get("/v1/models", { headers: { origin: app } })), []);
  const answer = await get("/v1/chat/completions", preflight);
  t.is(answer.status, 405);
  t.deepEqual(corsHeaders(answer), []);
});

test("a preflight of an allowed origin is answered without a key", async (t) => {
  const { get } = await startServer(t, { security: { corsOrigins: [app], apiKey: ["key"] } });
  const answer = await get("/v1/chat/completions", preflight);
  t.is(answer.status, 204);
  t.is(answer.headers.get("access-control-allow-origin"), app);
  t.is(
    answer.headers.get("access-control-allow-headers"),
    "authorization,content-type,x-stainless-lang",
  );
  t.regex(answer.headers.get("access-control-allow-methods") ?? "", /POST/);
  t.regex(answer.headers.get("vary") ?? "", /Origin/);
});

test("an answer, and an error too, may be read by pages of allowed origins only", async (t) => {
  const { get } = await startServer(t, { security: { corsOrigins: [app], apiKey: ["key"] } });
  const allowed = await get("/v1/models", { headers: { origin: app } });
  t.is(allowed.status, 401);
  t.is(allowed.headers.get("access-control-allow-origin"), app);
  t.regex(allowed.headers.get("access-control-expose-headers") ?? "", /x-seap-task/);
  for (const origin of ["https://evil.example.com", "https://app.example.com.evil.org", "null"]) {
    t.deepEqual(corsHeaders(await get("/v1/models", { headers: { origin } })), [], origin);
  }
  t.is((await get("/v1/models")).headers.get("vary"), "Origin");
});

test("credentials such as cookies are never allowed", async (t) => {
  const { get } = await startServer(t, { security: { corsOrigins: ["*"] } });
  const answer = await get("/v1/models", { headers: { origin: app } });
  t.is(answer.headers.get("access-control-allow-origin"), app);
  t.is(answer.headers.get("access-control-allow-credentials"), null);
});

test("every answer forbids frames, sniffing and inline scripts", async (t) => {
  const { get } = await startServer(t);
  for (const path of ["/health", "/metrics", "/nowhere"]) {
    const { headers } = await get(path);
    t.is(headers.get("x-content-type-options"), "nosniff");
    t.is(headers.get("x-frame-options"), "DENY");
    const policy = headers.get("content-security-policy") ?? "";
    t.regex(policy, /default-src 'self'/);
    t.regex(policy, /frame-ancestors 'none'/);
    t.notRegex(policy, /unsafe/);
  }
});

test("a WebSocket may be opened by programs, the server's own pages and allowed origins", (t) => {
  const none = new AllowedOrigins([]);
  const host = "127.0.0.1:8000";
  t.true(none.mayChange({ host }));
  t.true(none.mayChange({ host, origin: "http://127.0.0.1:8000" }));
  t.false(none.mayChange({ host, origin: "http://127.0.0.1:9000" }));
  t.false(none.mayChange({ host, origin: "null" }));
  t.false(none.mayChange({ origin: app }));
  t.true(new AllowedOrigins([app]).mayChange({ host, origin: app }));
  t.true(new AllowedOrigins(["*"]).mayChange({ host, origin: app }));
  // Behind a proxy that does not tell the name it was asked by.
  t.true(none.mayChange({ host, origin: app, "sec-fetch-site": "same-origin" }));
  t.false(none.mayChange({ host, "sec-fetch-site": "cross-site" }));
  t.false(none.mayChange({ host, origin: "http://127.0.0.1:9000", "sec-fetch-site": "same-site" }));
});

interface ErrorReply {
  readonly error: { readonly message: string; readonly code: string };
}

test("web pages of other sites can change nothing", async (t) => {
  const engine = new FakeEngine();
  engine.snapshots = [expertSnapshot("code", { state: "resident" })];
  const { url, client } = await startServer(t, { engine, tasks: ["code"] });
  const { id } = await client.responses.create({ model: "fake", input: "Hi" });
  const json = { "content-type": "application/json" };
  const command = "/v1/experts/code/evict";
  const requests = [
    ["POST", command, undefined],
    ["DELETE", `/v1/responses/${id}`, undefined],
    [
      "POST",
      "/v1/chat/completions",
      JSON.stringify({ messages: [{ role: "user", content: "Hi" }] }),
    ],
  ] as const;
  for (const [method, path, body] of requests) {
    const send = (headers: Record<string, string>) =>
      fetch(`${url}${path}`, { method, headers: { ...json, ...headers }, ...(body && { body }) });
    for (const origin of [app, "null", "http://localhost:1"]) {
      const refused = await send({ origin });
      const { error } = (await refused.json()) as ErrorReply;
      t.deepEqual([refused.status, error.code], [403, "origin_not_allowed"]);
      t.regex(error.message, /--cors-origins/);
    }
    t.is((await send({ origin: url })).ok, true, path);
  }
  t.is(engine.commands.length, 1);
});

test("a command needs a header that no web page can send unasked", async (t) => {
  const engine = new FakeEngine();
  engine.snapshots = [expertSnapshot("code", { state: "resident" })];
  const { url } = await startServer(t, { engine, tasks: ["code"] });
  const send = (headers: Record<string, string>) =>
    fetch(`${url}/v1/experts/code/evict`, { method: "POST", headers });
  for (const type of [{}, { "content-type": "text/plain" }]) {
    const refused = await send(type);
    const { error } = (await refused.json()) as ErrorReply;
    t.deepEqual([refused.status, error.code], [415, "unsupported_media_type"]);
  }
  for (const headers of [
    { "content-type": "application/json" },
    { authorization: "Bearer any" },
    { "x-seap-command": "evict" },
  ]) {
    t.is((await send(headers)).status, 202);
  }
});

/** `fetch` does not let anybody choose the host. */
async function statusAs(url: string, path: string, host: string): Promise<number | undefined> {
  const asked = request(`${url}${path}`, { headers: { host } }).end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  answer.resume();
  return answer.statusCode;
}

test("a server without keys answers under its own names alone, whoever asks for its health", async (t) => {
  const { url } = await startServer(t, { security: { allowedHosts: ["seap.example.com"] } });
  for (const host of ["localhost", "LOCALHOST:1234", "seap.example.com", "127.0.0.1", "[::1]:80"]) {
    t.is(await statusAs(url, "/v1/models", host), 200, host);
  }
  for (const host of ["evil.example.com", "localhost.evil.com", "127.0.0.1.evil.com:80", "seap"]) {
    for (const path of ["/", "/v1/models", "/metrics", "/nowhere"]) {
      t.is(await statusAs(url, path, host), 403, `${host} ${path}`);
    }
    t.is(await statusAs(url, "/health", host), 200);
    t.is(await statusAs(url, "/ready", host), 200);
  }
  const protectedByKeys = await startServer(t, { security: { apiKey: ["key"] } });
  t.is(await statusAs(protectedByKeys.url, "/v1/models", "evil.example.com"), 401);
  const open = await startServer(t, { security: { allowedHosts: ["*"] } });
  t.is(await statusAs(open.url, "/v1/models", "evil.example.com"), 200);
});

test("a WebSocket is not opened under a foreign name, whose page would be of the same origin", async (t) => {
  const { url } = await startServer(t);
  const upgrade = {
    host: "evil.example.com",
    origin: "http://evil.example.com",
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  const asked = request(`${url}/v1/ws`, { headers: upgrade }).end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  answer.resume();
  t.is(answer.statusCode, 403);
});

test("host names are read as clients send them", (t) => {
  const parse = (text: string) => parseConfig({ args: ["--allowed-hosts", text], env: {} }).config;
  t.deepEqual(parse("seap, seap.example.com").allowedHosts, ["seap", "seap.example.com"]);
  t.deepEqual(parse("*").allowedHosts, ["*"]);
  for (const text of ["http://seap", "seap:8000", "*.example.com", "a,,b"]) {
    t.throws(() => parse(text), { instanceOf: ConfigError, message: /^--allowed-hosts: expected/ });
  }
});

test("origins are read as browsers send them", (t) => {
  const parse = (text: string) => parseConfig({ args: ["--cors-origins", text], env: {} }).config;
  t.deepEqual(parse(`${app}, http://localhost:3000`).corsOrigins, [app, "http://localhost:3000"]);
  t.deepEqual(parse("*").corsOrigins, ["*"]);
  for (const text of ["app.example.com", `${app}/`, `${app}/path`, "https://*.example.com"]) {
    t.throws(() => parse(text), { instanceOf: ConfigError, message: /^--cors-origins: expected/ });
  }
});
