import type { StepReport } from "../../engine/contract/step-meter.ts";
import type { AnswerTrail, PhaseSeconds } from "./answer-trail.ts";
import type { TraceContext } from "./trace-context.ts";

/** Tells others where requests spend their time. */
export interface Tracer {
  /** @param parent - what the client's trace says; null where there is none */
  begin(parent: TraceContext | null): RequestTrace;
  recordSteps(report: StepReport): void;
  /** Of all decode steps so far; empty where nobody asks. */
  phaseSeconds(): PhaseSeconds;
  /** Sends what is not sent yet, and gives up after some seconds. */
  close(): Promise<void>;
}

export interface RequestTrace {
  /** Of the request itself; null where there is no trace. */
  readonly context: TraceContext | null;
  /** At most once, at the end; without it the request is left out. */
  end(request: TracedRequest): void;
}

export interface TracedRequest {
  readonly method: string;
  /** As declared, so without what a client writes into it. */
  readonly route: string;
  readonly status: number;
  readonly requestId: string;
  readonly answers: readonly AnswerTrail[];
}

/** Exports nothing. A client's trace is passed on all the same, so that it finds its log lines. */
export const noTracer: Tracer = {
  begin: (parent) => ({ context: parent, end: () => undefined }),
  recordSteps: () => undefined,
  phaseSeconds: () => ({}),
  close: () => Promise.resolve(),
};
