import type {
  FinishEvent,
  GenerateEvent,
  GenerateRequest,
  RoutedEvent,
} from "../../engine/contract/request.ts";
import type { StepPhase } from "../../engine/contract/step-meter.ts";

/** Seconds by what they were spent on. */
export type PhaseSeconds = Readonly<Partial<Record<StepPhase, number>>>;

/** What is remembered of one answer, for the log and for traces; times are on the clock of `performance.now()`. */
export class AnswerTrail {
  readonly request: GenerateRequest;
  /** When the engine got it. */
  readonly startedMs: number;
  readonly #phaseSeconds: () => PhaseSeconds;
  #route: { readonly event: RoutedEvent; readonly atMs: number } | undefined;
  #finish: FinishEvent | undefined;
  #completionTokens = 0;
  #phasesBefore: PhaseSeconds = {};

  /** @param phaseSeconds - of all decode steps so far */
  constructor(request: GenerateRequest, phaseSeconds: () => PhaseSeconds) {
    this.request = request;
    this.startedMs = performance.now();
    this.#phaseSeconds = phaseSeconds;
  }

  /** The decision, and when it was known. */
  get route(): { readonly event: RoutedEvent; readonly atMs: number } | undefined {
    return this.#route;
  }

  /** Undefined where the answer broke off. */
  get finish(): FinishEvent | undefined {
    return this.#finish;
  }

  get completionTokens(): number {
    return this.#completionTokens;
  }

  /** What the decode steps since the first token were spent on, for the whole batch. */
  get phasesSinceFirstToken(): PhaseSeconds {
    return Object.fromEntries(
      Object.entries(this.#phaseSeconds()).map(([phase, seconds]) => [
        phase,
        seconds - (this.#phasesBefore[phase as StepPhase] ?? 0),
      ]),
    );
  }

  record(event: GenerateEvent): void {
    if (event.type === "accepted") return;
    if (event.type === "routed") {
      this.#route = { event, atMs: performance.now() };
      return;
    }
    if (this.#completionTokens === 0) this.#phasesBefore = this.#phaseSeconds();
    this.#completionTokens += event.numTokens;
    if (event.type === "finish") this.#finish = event;
  }
}
