import type {
  BuildProgress,
  BuiltExpert,
  EvictionReason,
  ExpertSnapshot,
  ExpertState,
  TaskPolicy,
} from "../contract/experts.ts";
import { type EntryIntent, type EntryState, passingStates } from "./entry-state.ts";
import { ExpertCounts } from "./expert-counts.ts";
import { ExpertDemand } from "./expert-demand.ts";
import type { ExpertHandle } from "./expert-device.ts";
import { FailureHistory } from "./failure-history.ts";
import type { PooledMiddle } from "./pooled-middle.ts";
import type { StepCost } from "./serve-policy.ts";
import { ShadowTally } from "./shadow-tally.ts";

type StateOf<Kind extends EntryState["kind"]> = Extract<EntryState, { readonly kind: Kind }>;

/**
 * All that is known of one expert: the state that it is in, and what is wanted of it. {@link BuildQueue} and
 * {@link ExpertMemory} take it from state to state; each step throws where it cannot follow on the state it finds.
 */
export class ExpertEntry implements PooledMiddle {
  readonly name: string;
  readonly policy: TaskPolicy;
  readonly counts = new ExpertCounts();
  /** Requests that it was to answer, whatever did. */
  readonly demand = new ExpertDemand();
  shadow = new ShadowTally();
  #state: EntryState = { kind: "absent" };
  #intent: EntryIntent = { kind: "store" };
  #failures = new FailureHistory();
  readonly #waiters: (() => void)[] = [];

  constructor(name: string, policy: TaskPolicy) {
    this.name = name;
    this.policy = policy;
  }

  get state(): EntryState {
    return this.#state;
  }

  get intent(): EntryIntent {
    return this.#intent;
  }

  /** What everybody else is told of state and intent. */
  get shownState(): ExpertState {
    if (!this.policy.isServed) return "off";
    return this.#intent.kind === "suspend" ? "suspended" : this.#state.kind;
  }

  /** Null while there is none that could be loaded. */
  get built(): BuiltExpert | null {
    return "built" in this.#state ? this.#state.built : null;
  }

  get cost(): StepCost | null {
    return this.shownState === "resident" ? this.#in("resident").handle.cost : null;
  }

  /** Somebody waits for what comes after this state. */
  get hasWaiters(): boolean {
    return this.#waiters.length > 0;
  }

  /** It is to be in memory. What was urgent stays so until it is loaded. */
  want({ isUrgent = false } = {}): void {
    const wasUrgent = this.#intent.kind === "load" && this.#intent.isUrgent;
    this.#intent = { kind: "load", isUrgent: isUrgent || wasUrgent };
  }

  /** It need not be in memory. */
  forgo(): void {
    if (this.#intent.kind !== "suspend") this.#intent = { kind: "store" };
  }

  suspend(problem: string): void {
    this.#intent = { kind: "suspend", problem };
    this.settle();
  }

  /** Nothing holds it back any more: it is where it would be, had nothing been found against it. */
  lift(): void {
    if (this.#intent.kind === "suspend") {
      this.shadow = new ShadowTally();
      this.#intent = { kind: "store" };
    }
    this.#failures.forgive();
    if (this.#state.kind === "failed" || this.#state.kind === "over-budget") this.#retry();
  }

  /** It waits to be built; or to be built anew, where it was being loaded and is damaged. */
  plan(): void {
    this.#in("absent", "loading");
    this.#moveTo({ kind: "planned" });
  }

  startBuild(): void {
    this.#in("planned");
    this.#moveTo({ kind: "building", progress: null });
  }

  showProgress(progress: BuildProgress): void {
    this.#in("building");
    this.#state = { kind: "building", progress };
  }

  /** Nobody needs the build any more. */
  stopBuild(): void {
    this.#in("building");
    this.#moveTo({ kind: "absent" });
  }

  /** It is tried again later, each time after twice as long. */
  failBuild(problem: string, nowMs: number): void {
    this.#in("building");
    const retryAtMs = nowMs + this.#failures.add();
    this.#moveTo({ kind: "failed", problem, built: null, retryAtMs });
  }

  /** No sparsity keeps the quality that was asked for. */
  exceedBudget(problem: string): void {
    this.#in("building");
    this.#moveTo({ kind: "over-budget", problem });
  }

  /** @param problem why it was not loaded, where that was wanted */
  store(built: BuiltExpert, problem: string | null = null): void {
    this.#in("absent", "planned", "building", "stored");
    this.forgo();
    this.#moveTo({ kind: "stored", built, problem });
  }

  /** It can never be loaded as it is. */
  refuse(built: BuiltExpert, problem: string): void {
    this.#in("planned", "building", "stored");
    this.forgo();
    this.#moveTo({ kind: "failed", problem, built, retryAtMs: null });
  }

  startLoad(built: BuiltExpert): void {
    this.#in("planned", "building", "stored");
    this.#intent = { kind: "load", isUrgent: false };
    this.#moveTo({ kind: "loading", built });
  }

  /** What lies on disk is damaged. @returns whether it may help to `plan` it anew: only once before it is loaded */
  addDamage(): boolean {
    this.#in("loading");
    return this.#failures.addDamage();
  }

  /**
   * It is tried again later, each time after twice as long.
   * @param isDamaged and is built anew then
   */
  failLoad(problem: string, nowMs: number, isDamaged: boolean): void {
    const { built } = this.#in("loading");
    const retryAtMs = nowMs + this.#failures.add();
    this.forgo();
    this.#moveTo({ kind: "failed", problem, built: isDamaged ? null : built, retryAtMs });
  }

  endLoad(handle: ExpertHandle): void {
    const { built } = this.#in("loading");
    this.#failures = new FailureHistory();
    this.#moveTo({ kind: "resident", built, handle });
  }

  /** It gets no new sequences, and leaves after the last. */
  drain(reason: EvictionReason): void {
    const { built, handle } = this.#in("resident");
    this.counts.evicted(reason);
    this.forgo();
    this.#moveTo({ kind: "draining", built, handle });
  }

  /** It stays after all. */
  stay(): void {
    const { built, handle } = this.#in("draining");
    this.#moveTo({ kind: "resident", built, handle });
  }

  endRelease(): void {
    const { built } = this.#in("draining");
    this.#moveTo({ kind: "stored", built, problem: null });
  }

  /** One that failed is as if it had not, once it is time. */
  retryIfDue(nowMs: number): void {
    if (this.#state.kind !== "failed" || this.#state.retryAtMs === null) return;
    if (nowMs >= this.#state.retryAtMs) this.#retry();
  }

  /** Resolves when the state that it is in, and those that follow by themselves, are over. Never rejects. */
  whenSettled(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Nobody waits any longer. */
  settle(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  snapshot(): ExpertSnapshot {
    const state = this.#state;
    const stateProblem = "problem" in state ? state.problem : null;
    return {
      name: this.name,
      state: this.shownState,
      residentBytes: "handle" in state ? state.built.sizeBytes : 0,
      built: this.built,
      progress: state.kind === "building" ? state.progress : null,
      ...this.counts.snapshot(),
      problem: this.#intent.kind === "suspend" ? this.#intent.problem : stateProblem,
      retryAtMs: state.kind === "failed" ? state.retryAtMs : null,
      shadow: this.shadow.summary(),
    };
  }

  #retry(): void {
    const { built } = this;
    this.#moveTo(built === null ? { kind: "absent" } : { kind: "stored", built, problem: null });
  }

  #moveTo(state: EntryState): void {
    this.#state = state;
    if (passingStates.has(state.kind)) return;
    if (this.#intent.kind === "load") this.#intent = { kind: "load", isUrgent: false };
    this.settle();
  }

  /** The state, which must be one of these. */
  #in<Kind extends EntryState["kind"]>(...kinds: readonly Kind[]): StateOf<Kind> {
    const state = this.#state;
    if ((kinds as readonly string[]).includes(state.kind)) return state as StateOf<Kind>;
    throw new Error(`Expert ${this.name} is ${state.kind}; expected ${kinds.join(" or ")}.`);
  }
}
