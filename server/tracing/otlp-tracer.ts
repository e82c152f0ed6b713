import { hostname } from "node:os";
import {
  type Attributes,
  type Context,
  type HrTime,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Tracer as OtelTracer,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import type { StepPhase, StepReport } from "../../engine/contract/step-meter.ts";
import type { Log } from "../base/log.ts";
import { packageVersion } from "../base/package-version.ts";
import { noTask } from "../config/rules.ts";
import type { AnswerTrail, PhaseSeconds } from "./answer-trail.ts";
import { ReportingExporter } from "./reporting-exporter.ts";
import type { TraceContext } from "./trace-context.ts";
import type { RequestTrace, TracedRequest, Tracer } from "./tracer.ts";

/** An export that takes longer has failed, and the end of the server waits no longer for one. */
const timeoutMs = 5000;

/** Sends traces to a collector, by OTLP over HTTP with JSON. Those that a client's trace does not sample are left out. */
export class OtlpTracer implements Tracer {
  readonly #provider: BasicTracerProvider;
  readonly #tracer: OtelTracer;
  readonly #phases: Partial<Record<StepPhase, number>> = {};

  /** @param endpoint - of the collector, without the path for traces */
  constructor(endpoint: string, log: Log) {
    const version = packageVersion();
    const url = `${endpoint.replace(/\/$/, "")}/v1/traces`;
    const exporter = new ReportingExporter(
      new OTLPTraceExporter({ url, timeoutMillis: timeoutMs }),
      log,
    );
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({
        "service.name": "seap-server",
        "service.version": version,
        "service.instance.id": `${hostname()}:${process.pid}`,
      }),
      spanProcessors: [new BatchSpanProcessor(exporter, { exportTimeoutMillis: timeoutMs })],
    });
    this.#tracer = this.#provider.getTracer("seap-server", version);
  }

  begin(parent: TraceContext | null): RequestTrace {
    const context = parent === null ? ROOT_CONTEXT : contextOf(parent);
    const options = { kind: SpanKind.SERVER, startTime: toTime(performance.now()) };
    const span = this.#tracer.startSpan("request", options, context);
    const { traceId, spanId } = span.spanContext();
    return {
      context: { traceId, spanId, isSampled: span.isRecording() },
      end: (request) => this.#end(span, request),
    };
  }

  recordSteps({ steps }: StepReport): void {
    for (const { pass, seconds } of steps) {
      if (pass !== "decode") continue;
      for (const [phase, phaseSeconds] of Object.entries(seconds) as [StepPhase, number][]) {
        this.#phases[phase] = (this.#phases[phase] ?? 0) + phaseSeconds;
      }
    }
  }

  phaseSeconds(): PhaseSeconds {
    return { ...this.#phases };
  }

  async close(): Promise<void> {
    await this.#provider.shutdown();
  }

  #end(span: Span, { method, route, status, requestId, answers }: TracedRequest): void {
    if (!span.isRecording()) return;
    span.updateName(`${method} ${route}`);
    span.setAttributes({
      "http.request.method": method,
      "http.route": route,
      "http.response.status_code": status,
      "seap.request_id": requestId,
    });
    if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
    const context = trace.setSpan(ROOT_CONTEXT, span);
    for (const [index, answer] of answers.entries()) this.#traceAnswer(answer, index, context);
    span.end(toTime(performance.now()));
  }

  /** The engine's own times, one after the other from when it got the request. */
  #traceAnswer(answer: AnswerTrail, choice: number, context: Context): void {
    const { finish, route, request } = answer;
    if (finish === undefined || route === undefined) return;
    const add = (name: string, startMs: number, endMs: number, attributes: Attributes) => {
      const options = {
        startTime: toTime(startMs),
        attributes: { ...attributes, "seap.choice": choice },
      };
      this.#tracer.startSpan(name, options, context).end(toTime(endMs));
    };
    const { queueSeconds, prefillSeconds, decodeSeconds } = finish.timings;
    const { headSeconds, lastHeadSeconds, sampleSeconds } = finish.timings;
    const { task, reason, confidence, expert, serveReason, seconds } = route.event;
    const queuedMs = answer.startedMs + queueSeconds * 1000;
    const prefilledMs = queuedMs + prefillSeconds * 1000;
    const headMs = Math.max(prefilledMs - (lastHeadSeconds + sampleSeconds) * 1000, queuedMs);
    const routedMs = Math.min(Math.max(route.atMs, queuedMs), headMs);
    const trunkMs = Math.max(routedMs - seconds * 1000, queuedMs);
    const promptTokens = request.promptTokenIds.length;
    add("queue", answer.startedMs, queuedMs, {});
    add("trunk", queuedMs, trunkMs, { "gen_ai.usage.input_tokens": promptTokens });
    add("route", trunkMs, routedMs, {
      "seap.task": task ?? noTask,
      "seap.route.reason": reason,
      "seap.route.confidence": confidence,
    });
    add("expert prefill", routedMs, headMs, {
      "seap.expert": expert,
      "seap.expert.reason": serveReason,
    });
    // Of a prompt in several passes the earlier ones lie in the span before.
    add("head", headMs, prefilledMs, {
      "seap.prefill.head_seconds": headSeconds,
      "seap.prefill.sample_seconds": sampleSeconds,
    });
    add("expert decode", prefilledMs, prefilledMs + decodeSeconds * 1000, {
      "seap.expert": expert,
      "gen_ai.usage.output_tokens": finish.completionTokens,
      "gen_ai.response.finish_reasons": [finish.reason],
      ...phaseAttributes(answer.phasesSinceFirstToken),
    });
  }
}

/** In decoding, trunk, expert and head take turns with each token, so that they are no spans. */
function phaseAttributes(phases: PhaseSeconds): Attributes {
  return Object.fromEntries(
    Object.entries(phases).map(([phase, seconds]) => [`seap.steps.${phase}_seconds`, seconds]),
  );
}

function contextOf({ traceId, spanId, isSampled }: TraceContext): Context {
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

/** @param ms - on the clock of `performance.now()` */
function toTime(ms: number): HrTime {
  const epochMs = performance.timeOrigin + ms;
  const seconds = Math.floor(epochMs / 1000);
  return [seconds, Math.floor((epochMs - seconds * 1000) * 1e6)];
}
