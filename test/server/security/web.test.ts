import test from "ava";
import { ConfigError } from "../../../server/config-error.ts";
import { parseConfig } from "../../../server/config.ts";
import { AllowedOrigins } from "../../../server/security/cors.ts";
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
  t.true(none.mayConnect(undefined, "127.0.0.1:8000"));
  t.true(none.mayConnect("http://127.0.0.1:8000", "127.0.0.1:8000"));
  t.false(none.mayConnect("http://127.0.0.1:9000", "127.0.0.1:8000"));
  t.false(none.mayConnect("null", "127.0.0.1:8000"));
  t.false(none.mayConnect(app, undefined));
  t.true(new AllowedOrigins([app]).mayConnect(app, "127.0.0.1:8000"));
  t.true(new AllowedOrigins(["*"]).mayConnect(app, "127.0.0.1:8000"));
});

test("origins are read as browsers send them", (t) => {
  const parse = (text: string) => parseConfig({ args: ["--cors-origins", text], env: {} }).config;
  t.deepEqual(parse(`${app}, http://localhost:3000`).corsOrigins, [app, "http://localhost:3000"]);
  t.deepEqual(parse("*").corsOrigins, ["*"]);
  for (const text of ["app.example.com", `${app}/`, `${app}/path`, "https://*.example.com"]) {
    t.throws(() => parse(text), { instanceOf: ConfigError, message: /^--cors-origins: expected/ });
  }
});
