import type { Response } from "express";
import type { GenerateRequest } from "../../engine/contract/request.ts";
import type { Log } from "../base/log.ts";
import type { Endpoint } from "../metrics/labels.ts";
import { noTask } from "../config/rules.ts";
import { AnswerTrail } from "../tracing/answer-trail.ts";
import type { TraceContext } from "../tracing/trace-context.ts";
import type { RequestTrace, Tracer } from "../tracing/tracer.ts";

export interface RequestRecordOptions {
  readonly requestId: string;
  /** HTTP's, or the type of a WebSocket's message. */
  readonly method: string;
  /** What the client's trace says. */
  readonly parent: TraceContext | null;
  readonly log: Log;
  readonly tracer: Tracer;
}

export interface RequestEnd {
  readonly endpoint: Endpoint;
  /** As declared, so without what a client writes into it. */
  readonly route: string;
  readonly status: number;
}

/** Asked for again and again by machines, or by pages. */
const quietEndpoints: ReadonlySet<Endpoint> = new Set(["health", "ready", "metrics", "page"]);

/** What is told of one request when it has ended: a line in the log and, where they are exported, a trace. */
export class RequestRecord {
  readonly requestId: string;
  /** Names the request, and its trace, in each line. */
  readonly log: Log;
  readonly #method: string;
  readonly #tracer: Tracer;
  readonly #trace: RequestTrace;
  readonly #startedMs = performance.now();
  readonly #answers: AnswerTrail[] = [];

  constructor({ requestId, method, parent, log, tracer }: RequestRecordOptions) {
    this.requestId = requestId;
    this.#method = method;
    this.#tracer = tracer;
    this.#trace = tracer.begin(parent);
    const { context } = this.#trace;
    // Spelled as OpenTelemetry has it, for what joins logs and traces.
    const ids = context && { trace_id: context.traceId, span_id: context.spanId };
    this.log = log.with({ requestId, ...ids });
  }

  /** Null where there is no trace. */
  get context(): TraceContext | null {
    return this.#trace.context;
  }

  beginAnswer(request: GenerateRequest): AnswerTrail {
    const trail = new AnswerTrail(request, () => this.#tracer.phaseSeconds());
    this.#answers.push(trail);
    return trail;
  }

  end({ endpoint, route, status }: RequestEnd): void {
    const isQuiet = quietEndpoints.has(endpoint);
    this.log[isQuiet ? "debug" : "info"]("request", {
      method: this.#method,
      endpoint,
      status,
      durationMs: Math.round(performance.now() - this.#startedMs),
      ...this.#answerFields(),
    });
    if (isQuiet) return;
    const { requestId } = this;
    const [method, answers] = [this.#method, this.#answers];
    this.#trace.end({ method, route, status, requestId, answers });
  }

  /** Of several answers what they have in common, or all of it. */
  #answerFields() {
    if (this.#answers.length === 0) return {};
    const routes = this.#answers.flatMap(({ route }) => route?.event ?? []);
    const finishes = this.#answers.map(({ finish }) => finish?.reason ?? "none");
    // The choices of a prompt share its tokens.
    const prompts = new Set(this.#answers.map(({ request }) => request.promptTokenIds));
    return {
      task: listOf(routes.map(({ task }) => task ?? noTask)),
      reason: listOf(routes.map(({ reason }) => reason)),
      expert: listOf(routes.map(({ expert }) => expert)),
      promptTokens: sumOf([...prompts].map(({ length }) => length)),
      completionTokens: sumOf(this.#answers.map(({ completionTokens }) => completionTokens)),
      finish: listOf(finishes),
    };
  }
}

function listOf(values: readonly string[]): string | undefined {
  return values.length === 0 ? undefined : [...new Set(values)].join(",");
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Of a request that came by HTTP. */
export function recordOf(res: Response): RequestRecord {
  return (res.locals as { record: RequestRecord }).record;
}
