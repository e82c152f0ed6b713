import { InferenceError } from "../../engine/contract/errors.ts";
import type {
  Engine,
  FinishEvent,
  GenerateEvent,
  GenerateRequest,
  RoutedEvent,
  TextEvent,
} from "../../engine/contract/request.ts";
import { AnswerMeter } from "./answer-meter.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { RequestRecord } from "../http/request-record.ts";

/** One answer that the engine has accepted. */
export interface Choice {
  readonly request: GenerateRequest;
  readonly events: AsyncGenerator<GenerateEvent, void, void>;
  readonly meter: AnswerMeter;
}

export interface OpenOptions {
  readonly engine: Engine;
  readonly controller: AbortController;
  readonly metrics: Metrics;
  /** Arrival of the request, on the clock of `performance.now()`. */
  readonly startedMs: number;
  readonly record: RequestRecord;
}

/**
 * Starts all requests; settles when the engine has accepted all of them. When it refuses one, the
 * others are cancelled.
 */
export async function openChoices(
  requests: readonly GenerateRequest[],
  { engine, controller, metrics, startedMs, record }: OpenOptions,
): Promise<Choice[]> {
  return settleAll(controller, requests, async (request) => {
    const trail = record.beginAnswer(request);
    const events = engine.generate(request, controller.signal);
    const first = await events.next();
    if (first.done === true || first.value.type !== "accepted") {
      throw new InferenceError(`Request ${request.id} did not begin with being accepted.`);
    }
    const meter = new AnswerMeter({ metrics, trail, startedMs });
    return { request, events, meter };
  });
}

/** What becomes of an answer's events; what is returned is awaited before more is taken from the engine. */
export interface ChoiceSink {
  /** Once, before any text. */
  onRoute(route: RoutedEvent): Promise<void> | undefined;
  /** Gets every event with tokens, `finish` last; the text may be empty. */
  onText(event: TextEvent): Promise<void> | undefined;
}

/** Drains one answer. */
export async function drainChoice(
  { request, events, meter }: Choice,
  sink: ChoiceSink,
): Promise<FinishEvent> {
  let isRouted = false;
  try {
    for await (const event of events) {
      meter.record(event);
      if (event.type === "accepted") continue;
      if (event.type === "routed") {
        isRouted = true;
        await sink.onRoute(event);
        continue;
      }
      if (!isRouted) throw new InferenceError(`Request ${request.id} got text before its route.`);
      const slow = sink.onText(event);
      if (slow !== undefined) await slow;
      if (event.type === "finish") return event;
    }
    throw new InferenceError(`Request ${request.id} ended without a finish event.`);
  } catch (error) {
    meter.fail(error);
    throw error;
  }
}

/**
 * Runs `task` on all items and waits for every one. The first failure aborts the controller, and with it
 * the other tasks.
 * @throws the reason of the abort, so that what cancelled the tasks is reported, not the cancellation.
 */
export async function settleAll<T, R>(
  controller: AbortController,
  items: readonly T[],
  task: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = await Promise.allSettled(
    items.map(async (item, index) => {
      try {
        return await task(item, index);
      } catch (error) {
        controller.abort(error);
        throw error;
      }
    }),
  );
  return results.map((result) => {
    if (result.status === "rejected") throw controller.signal.reason;
    return result.value;
  });
}
