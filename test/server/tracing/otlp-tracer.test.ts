import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import test, { type ExecutionContext } from "ava";
import { createLog } from "../../../server/base/log.ts";
import { OtlpTracer } from "../../../server/tracing/otlp-tracer.ts";
import { attributesOf, startCollector, type WireSpan } from "../../helpers/otlp-collector.ts";
import { startServer } from "../../helpers/start-server.ts";

const chat = "/v1/chat/completions";
const hello = { model: "fake:math", messages: [{ role: "user", content: "private question" }] };
const traceId = "0af7651916cd43dd8448eb211c80319c";
const headers = { "content-type": "application/json", "x-request-id": "mine" };

async function serve(t: ExecutionContext, endpoint: string) {
  const lines: string[] = [];
  const tracer = new OtlpTracer(
    endpoint,
    createLog("info", (line) => lines.push(line)),
  );
  const server = await startServer(t, { tracer, tasks: ["math"], logFormat: "json" });
  /** As a signal does it, so that what is left is sent. */
  const stop = async () => {
    const exited = once(server.signals, "exit");
    server.signals.emit("SIGTERM");
    await exited;
  };
  return { ...server, stop, lines, tracer };
}

const startOf = ({ startTimeUnixNano }: WireSpan) => BigInt(startTimeUnixNano);
const endOf = ({ endTimeUnixNano }: WireSpan) => BigInt(endTimeUnixNano);

test("a request is a span with those of its answer in it, in order and without content", async (t) => {
  const collector = await startCollector(t);
  const { post, engine, stop, logLines } = await serve(t, collector.url);
  const decode = { pass: "decode" as const, tokens: 1, experts: {}, drafts: [] };
  engine.onStep = () => {
    const seconds = { trunk: 0.001, expert: 0.002, head: 0.003 };
    engine.onSteps({ steps: [{ ...decode, seconds }], preemptions: 0 }, 0);
  };
  const parent = `00-${traceId}-b7ad6b7169203331-01`;
  const response = await post(chat, hello, { headers: { ...headers, traceparent: parent } });
  t.is(response.status, 200);
  await response.text();
  await stop();

  const spans = collector.spans();
  t.true(spans.every((span) => span.traceId === traceId));
  const [request, ...others] = [...spans].sort((a, b) => b.kind - a.kind);
  t.is(request!.name, "POST /v1/chat/completions");
  t.is(request!.parentSpanId, "b7ad6b7169203331");
  t.like(attributesOf(request!), {
    "http.request.method": "POST",
    "http.response.status_code": 200,
    "seap.request_id": "mine",
  });
  t.is(response.headers.get("traceparent"), `00-${traceId}-${request!.spanId}-01`);
  const line = logLines
    .map((each) => JSON.parse(each) as Record<string, unknown>)
    .find(({ message, endpoint }) => message === "request" && endpoint === "chat_completions");
  t.is(line!["span_id"], request!.spanId);

  const ordered = others.sort((a, b) => (startOf(a) < startOf(b) ? -1 : 1));
  const names = ["queue", "trunk", "route", "expert prefill", "head", "expert decode"];
  t.deepEqual(ordered.map(({ name }) => name).sort(), [...names].sort());
  const byName = new Map(others.map((span) => [span.name, span]));
  for (const [index, name] of names.entries()) {
    const span = byName.get(name)!;
    t.is(span.parentSpanId, request!.spanId);
    t.true(endOf(span) >= startOf(span), name);
    const next = byName.get(names[index + 1] ?? "");
    if (next !== undefined) t.is(endOf(span), startOf(next), name);
  }
  t.like(attributesOf(byName.get("route")!), {
    "seap.task": "math",
    "seap.route.reason": "override",
  });
  const head = byName.get("head")!;
  // The fake engine's last pass through the head, and the drawing of the first token.
  const headMs = Number(endOf(head) - startOf(head)) / 1e6;
  t.true(Math.abs(headMs - 0.6) < 0.01, `${headMs} ms`);
  t.like(attributesOf(head), {
    "seap.prefill.head_seconds": 0.0008,
    "seap.prefill.sample_seconds": 0.0001,
  });
  const decoded = attributesOf(byName.get("expert decode")!);
  t.like(decoded, { "seap.expert": "dense", "gen_ai.usage.output_tokens": 2 });
  t.true(Number(decoded["seap.steps.head_seconds"]) > 0);
  const [resource] = collector.exports[0]!.resourceSpans;
  t.is(attributesOf(resource!.resource)["service.name"], "seap-server");
  t.notRegex(JSON.stringify(collector.exports), /private|Hello|world/);
});

test("without a client's trace one begins; what is not sampled, or only looks after the server, is not sent", async (t) => {
  const collector = await startCollector(t);
  const { get, stop } = await serve(t, collector.url);
  t.is((await get("/health")).status, 200);
  const begun = await get("/v1/models");
  t.regex(begun.headers.get("traceparent")!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  const traceparent = `00-${traceId}-b7ad6b7169203331-00`;
  const unsampled = await get("/v1/models", { headers: { traceparent } });
  t.regex(unsampled.headers.get("traceparent")!, new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
  await stop();
  t.deepEqual(
    collector.spans().map(({ name }) => name),
    ["GET /v1/models"],
  );
});

test("a collector that is not there costs one line in the log, and no answer", async (t) => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, "close");
  const { post, stop, lines } = await serve(t, `http://127.0.0.1:${port}`);
  t.is((await post(chat, hello)).status, 200);
  t.is((await post(chat, hello)).status, 200);
  const startedMs = performance.now();
  await stop();
  t.true(performance.now() - startedMs < 12_000);
  t.is(lines.length, 1);
  t.regex(lines[0]!, /warn {2}traces are not exported error=/);
});
