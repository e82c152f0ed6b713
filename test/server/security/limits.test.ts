import test from "ava";
import fc from "fast-check";
import { parseConfig } from "../../../server/config/config.ts";
import { ConfigError } from "../../../server/base/config-error.ts";
import { Admission } from "../../../server/security/admission.ts";
import { RateLimitError } from "../../../server/base/access-errors.ts";
import { formatDuration } from "../../../server/security/middleware.ts";
import { RateLimit } from "../../../server/security/rate-limit.ts";
import { FakeClock } from "../../helpers/fake-clock.ts";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

const hello = { messages: [{ role: "user", content: "Hi" }] };
const keyed = (key: string) => ({
  headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
});

test("a client may send its rate at once, then as fast as the rate fills up", async (t) => {
  const clock = new FakeClock();
  const rateLimit = { requests: 2, perMs: 60_000 };
  const { post } = await startServer(t, { clock, security: { rateLimit } });
  const send = async () => {
    const response = await post("/v1/chat/completions", hello);
    await response.text();
    const header = (name: string) => response.headers.get(`x-ratelimit-${name}-requests`);
    return [response.status, header("limit"), header("remaining"), header("reset")];
  };
  t.deepEqual(await send(), [200, "2", "1", "30s"]);
  t.deepEqual(await send(), [200, "2", "0", "1m0s"]);
  t.deepEqual(await send(), [429, "2", "0", "1m0s"]);
  clock.advance(29_999);
  t.is((await send())[0], 429);
  clock.advance(1);
  t.deepEqual(await send(), [200, "2", "0", "1m0s"]);
  clock.advance(600_000);
  t.deepEqual(await send(), [200, "2", "1", "30s"]);
});

test("E10: a refusal says in OpenAI's words when to come back, and costs nothing", async (t) => {
  const clock = new FakeClock();
  const rateLimit = { requests: 1, perMs: 60_000 };
  const { post, engine } = await startServer(t, { clock, security: { rateLimit } });
  await (await post("/v1/chat/completions", hello)).text();
  clock.advance(14_500);
  const response = await post("/v1/chat/completions", "{ not even JSON");
  t.is(response.status, 429);
  t.is(response.headers.get("retry-after"), "46");
  const { error } = (await response.json()) as { error: object };
  t.like(error, {
    ...{ type: "rate_limit_error", code: "rate_limit_exceeded", param: null },
    message: "Rate limit reached for requests: Limit 1. Please try again in 46s.",
  });
  t.is(engine.requests.length, 1);
});

test("each key has a rate of its own, and what only reads is not counted", async (t) => {
  const rateLimit = { requests: 1, perMs: 3_600_000 };
  const apiKey = ["key-a", "key-b"];
  const security = { rateLimit, apiKey };
  const { post, get } = await startServer(t, { clock: new FakeClock(), security });
  const send = async (key: string) => (await post("/v1/completions", "{}", keyed(key))).status;
  t.deepEqual([await send("key-a"), await send("key-a")], [400, 429]);
  t.deepEqual([await send("key-b"), await send("key-b")], [400, 429]);
  t.is((await get("/v1/models", keyed("key-a"))).status, 200);
});

test("without a rate there are no rate headers", async (t) => {
  const { post } = await startServer(t);
  const { headers } = await post("/v1/chat/completions", hello);
  t.false([...headers.keys()].some((name) => name.startsWith("x-ratelimit")));
});

test("a key may have so many requests running, and one more when one has ended", async (t) => {
  const engine = new FakeEngine();
  const gate = new Gate();
  engine.script = () => ({ steps: [{ hold: gate }, "late"] });
  const security = { apiKey: ["key-a", "key-b"], maxConcurrentPerKey: 2 };
  const { post } = await startServer(t, { engine, security });
  const send = (key: string) => post("/v1/chat/completions", hello, keyed(key));
  const running = [send("key-a"), send("key-a")];
  await engine.until(() => engine.requests.length === 2);
  const refused = await send("key-a");
  t.is(refused.status, 429);
  t.is(refused.headers.get("retry-after"), "1");
  const { error } = (await refused.json()) as { error: object };
  t.like(error, {
    code: "rate_limit_exceeded",
    message: "Rate limit reached for requests at the same time: Limit 2. Please try again in 1s.",
  });
  const other = send("key-b");
  await engine.until(() => engine.requests.length === 3);
  gate.open();
  for (const response of await Promise.all([...running, other])) {
    t.is(response.status, 200);
    await response.text();
  }
  t.is((await send("key-a")).status, 200);
});

test("a client that leaves gives its place free", async (t) => {
  const engine = new FakeEngine();
  const gate = new Gate();
  engine.script = () => ({ steps: [{ hold: gate }] });
  const { post } = await startServer(t, { engine, security: { maxConcurrentPerKey: 1 } });
  const controller = new AbortController();
  const leaving = post("/v1/chat/completions", hello, {
    headers: { "content-type": "application/json" },
    signal: controller.signal,
  });
  await engine.until(() => engine.requests.length === 1);
  controller.abort();
  await t.throwsAsync(leaving, { any: true });
  await engine.until(() => engine.cancelledIds.length === 1);
  gate.open();
  t.is((await post("/v1/chat/completions", hello)).status, 200);
});

test("an admission ends once, however often that is said", (t) => {
  const admission = new Admission({ rate: undefined, maxConcurrent: 1, nowMs: () => 0 });
  const end = admission.admit("key 0");
  t.throws(() => admission.admit("key 0"), { instanceOf: RateLimitError });
  end();
  const endAgain = admission.admit("key 0");
  end();
  t.throws(() => admission.admit("key 0"), { instanceOf: RateLimitError });
  endAgain();
  t.notThrows(() => admission.admit("key 0"));
});

test("in any stretch of time no more passes than the burst and what has filled up", (t) => {
  const gaps = fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 60 });
  const property = fc.property(fc.integer({ min: 1, max: 5 }), gaps, (requests, waits) => {
    let nowMs = 0;
    const limit = new RateLimit({ requests, perMs: 1000 }, () => nowMs);
    const passed: number[] = [];
    for (const wait of waits) {
      nowMs += wait;
      const quota = limit.take("key 0");
      if (quota.isAllowed) passed.push(nowMs);
      else {
        // What the refusal promises is true, and not too late.
        const fresh = nowMs + quota.waitMs;
        t.true(quota.waitMs > 0 && quota.waitMs <= Math.ceil(1000 / requests), `${fresh}`);
      }
    }
    for (const [from, start] of passed.entries()) {
      for (const [to, end] of passed.entries()) {
        if (to < from) continue;
        const most = requests + ((end - start) * requests) / 1000 + 1e-6;
        if (to - from + 1 > most) return false;
      }
    }
    return true;
  });
  fc.assert(property, { seed: 7, numRuns: 200 });
  t.pass();
});

test("durations are spelled as the OpenAI API does", (t) => {
  t.deepEqual(
    [0, 1, 250, 999.2, 1000, 1001, 60_000, 360_000, 3_600_000, 3_725_000].map(formatDuration),
    ["0s", "1ms", "250ms", "1000ms", "1s", "2s", "1m0s", "6m0s", "1h0m0s", "1h2m5s"],
  );
});

test("limits are read as they are written, and nonsense is refused by name", (t) => {
  const parse = (...args: string[]) => parseConfig({ args, env: {} }).config;
  t.deepEqual(parse("--rate-limit", "60/min").rateLimit, { requests: 60, perMs: 60_000 });
  t.deepEqual(parse("--rate-limit", "5/s").rateLimit, { requests: 5, perMs: 1000 });
  t.is(parse("--max-concurrent-per-key", "4").maxConcurrentPerKey, 4);
  for (const text of ["60", "0/min", "-1/s", "1.5/s", "60/day", "60 / min"]) {
    const refuse = () => parse(`--rate-limit=${text}`);
    t.throws(refuse, { instanceOf: ConfigError, message: /^--rate-limit: expected requests per/ });
  }
});
