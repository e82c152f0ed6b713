import type { PendingDecision, PromptRouter } from "../../router/prompt-router.ts";
import type { Decision } from "../../router/router.ts";
import type { ChooseOptions } from "../contract/expert-choice.ts";
import type { Route, RoutingRequest } from "../contract/routing.ts";

/**
 * The route of one sequence, decided once, when its prompt has passed the trunk for the first time. A prefill that
 * is taken back before begins anew.
 */
export class SequenceRouting {
  readonly #request: RoutingRequest;
  readonly #router: PromptRouter | null;
  readonly #now: () => number;
  #pending: PendingDecision | null = null;
  #route: Route | null = null;
  #decision: Decision | null = null;
  #milliseconds = 0;

  /**
   * @param router of the whole sequence, whatever router comes later
   * @param now milliseconds on a steady clock
   */
  constructor(request: RoutingRequest, router: PromptRouter | null, now: () => number) {
    this.#request = request;
    this.#router = router;
    this.#now = now;
  }

  get route(): Route | null {
    return this.#route;
  }

  /** What the router thinks of the prompt; null where it was not asked. */
  get decision(): Decision | null {
    return this.#decision;
  }

  /** How the decision is to be served. */
  get choice(): ChooseOptions {
    const { whileBuilding } = this.#request;
    return {
      ...(whileBuilding !== undefined && { mustWait: whileBuilding === "wait" }),
      isAssigned: this.#route?.reason === "override",
    };
  }

  /** What adding up and deciding took. */
  get seconds(): number {
    return this.#milliseconds / 1000;
  }

  /** The trunk begins with the prompt, which may happen again. */
  begin(): void {
    if (this.#route !== null || this.#request.assigned !== undefined) return;
    this.#milliseconds = 0;
    this.#pending = this.#router?.begin(this.#request.spans) ?? null;
  }

  /** The trunk's output of the next tokens may change the decision: `add` it. */
  get isReading(): boolean {
    return this.#pending !== null && !this.#pending.isComplete;
  }

  /** @param rows the trunk's output of the next tokens. Shape `[numTokens, hiddenSize]`. */
  add(rows: Float32Array): void {
    const startedAt = this.#now();
    this.#pending?.add(rows);
    this.#milliseconds += this.#now() - startedAt;
  }

  /** The whole prompt has passed the trunk. */
  decide(): void {
    if (this.#route !== null) return;
    const startedAt = this.#now();
    this.#route = this.#choose();
    this.#pending = null;
    this.#milliseconds += this.#now() - startedAt;
  }

  #choose(): Route {
    const { assigned, sticky } = this.#request;
    if (assigned !== undefined) return { ...assigned, confidence: 1 };
    if (this.#pending === null) return { task: null, confidence: 0, reason: "no-router" };
    this.#decision = this.#pending.decide();
    const { task, confidence, reason, margin, scores } = this.#decision;
    const isClear = task !== null && margin >= (sticky?.margin ?? 0);
    if (sticky === undefined || sticky.task === task || isClear) {
      return { task, confidence, reason };
    }
    const kept = scores.find((score) => score.task === sticky.task);
    return { task: sticky.task, confidence: kept?.probability ?? confidence, reason: "sticky" };
  }
}
