import type { EngineStats, GenerateEvent, GenerateRequest } from "../contract/request.ts";
import { fromRequestFailure } from "../contract/request-failure.ts";
import { EventQueue } from "./event-queue.ts";
import type { WorkerOutput } from "./worker-protocol.ts";

interface InFlight {
  readonly queue: EventQueue<GenerateEvent>;
  readonly numPromptTokens: number;
  state: "waiting" | "running" | "parked";
}

type RequestCounts = Pick<
  EngineStats,
  "runningRequests" | "waitingRequests" | "parkedRequests" | "waitingTokens"
>;

/** The requests that the worker was sent, and where what it says of them goes. */
export class InFlightRequests {
  readonly #requests = new Map<string, InFlight>();

  counts(): RequestCounts {
    let [runningRequests, waitingRequests, parkedRequests, waitingTokens] = [0, 0, 0, 0];
    for (const { state, numPromptTokens } of this.#requests.values()) {
      if (state === "running") runningRequests++;
      else if (state === "parked") parkedRequests++;
      else {
        waitingRequests++;
        waitingTokens += numPromptTokens;
      }
    }
    return { runningRequests, waitingRequests, parkedRequests, waitingTokens };
  }

  /** @returns where its events come */
  add({ id, promptTokenIds }: GenerateRequest): EventQueue<GenerateEvent> {
    const queue = new EventQueue<GenerateEvent>();
    this.#requests.set(id, { queue, numPromptTokens: promptTokenIds.length, state: "waiting" });
    return queue;
  }

  /** @returns whether it was in flight */
  delete(id: string): boolean {
    return this.#requests.delete(id);
  }

  /** What comes for one that has left is ignored. */
  deliver(output: WorkerOutput): void {
    const { id } = output;
    const inFlight = this.#requests.get(id);
    if (!inFlight) return;
    if ("error" in output) {
      this.#requests.delete(id);
      inFlight.queue.fail(fromRequestFailure(id, output.error));
    } else if (output.event.type === "started" || output.event.type === "parked") {
      inFlight.state = output.event.type === "started" ? "running" : "parked";
    } else {
      inFlight.queue.push(output.event);
      if (output.event.type !== "finish") return;
      this.#requests.delete(id);
      inFlight.queue.end();
    }
  }

  failAll(error: Error): void {
    for (const { queue } of this.#requests.values()) queue.fail(error);
    this.#requests.clear();
  }
}
