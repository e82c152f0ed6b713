import { ExpertDemand } from "./expert-demand.ts";
import type { ExpertHandle } from "./expert-device.ts";
import type {
  BuildProgress,
  BuiltExpert,
  EvictionReason,
  ExpertSnapshot,
  ExpertState,
  TaskPolicy,
} from "../contract/experts.ts";

/** Comparison of one finished request with dense, summed over its tokens. */
export interface ShadowRecord {
  readonly tokens: number;
  /** Sum of the KL divergences from dense to the expert, nats. */
  readonly kl: number;
  /** Tokens whose most likely next token is dense's. */
  readonly agreeing: number;
}

/** Where an expert really is, whatever was decided about its use. */
export type ExpertPhase = Exclude<ExpertState, "suspended" | "off">;

/** Phases that another one follows by itself. */
const passing: ReadonlySet<ExpertPhase> = new Set(["planned", "building", "loading", "draining"]);

const firstRetryMs = 60_000;
const lastRetryMs = 30 * 60_000;

/** All that is known of one expert. {@link BuildQueue} and {@link ExpertMemory} move it through its phases. */
export class ExpertEntry {
  readonly name: string;
  readonly policy: TaskPolicy;
  /** What it takes without ever having been loaded: the unpruned middle is there from the start. */
  ownBytes = 0;
  /** It was asked for, so it is loaded as soon as it is built. */
  isWanted = false;
  /** Who asked for it waits, or is a person: it comes in place of busier ones. */
  isUrgent = false;
  /** Requests that it was to answer, whatever did. */
  readonly demand = new ExpertDemand();
  /** It was looked for on disk. */
  isSought = false;
  /** Its artifact was damaged; the one built after that has not been loaded yet. */
  isReplaced = false;
  /** It leaves memory as soon as it has come. */
  isUnwelcome = false;
  built: BuiltExpert | null = null;
  /** From the end of its load to the end of its release. */
  handle: ExpertHandle | null = null;
  progress: BuildProgress | null = null;
  problem: string | null = null;
  loadSeconds: number | null = null;
  lastUsedMs: number | null = null;
  running = 0;
  hits = 0;
  misses = 0;
  loads = 0;
  loadsPutOff = 0;
  stepSeconds: number | null = null;
  readonly evictionReasons: Partial<Record<EvictionReason, number>> = {};
  #phase: ExpertPhase;
  #retryAtMs: number | null = null;
  #numFailures = 0;
  #shadow: ShadowRecord & { readonly requests: number } = noShadow;
  #suspension: string | null = null;
  readonly #waiters: (() => void)[] = [];

  constructor(name: string, policy: TaskPolicy, phase: ExpertPhase = "absent") {
    this.name = name;
    this.policy = policy;
    this.#phase = phase;
  }

  get phase(): ExpertPhase {
    return this.#phase;
  }

  get isSuspended(): boolean {
    return this.#suspension !== null;
  }

  get state(): ExpertState {
    if (!this.policy.isServed) return "off";
    return this.isSuspended ? "suspended" : this.#phase;
  }

  /** Somebody waits for what comes after this phase. */
  get hasWaiters(): boolean {
    return this.#waiters.length > 0;
  }

  /** Failed, and the time to try again has come. */
  canRetry(nowMs: number): boolean {
    return this.#phase === "failed" && this.#retryAtMs !== null && nowMs >= this.#retryAtMs;
  }

  moveTo(phase: ExpertPhase): void {
    this.#phase = phase;
    if (phase !== "failed") this.#retryAtMs = null;
    if (phase === "resident") {
      this.#numFailures = 0;
      this.isReplaced = false;
    }
    if (phase === "resident" || phase === "loading" || phase === "building") this.problem = null;
    if (phase !== "building") this.progress = null;
    if (passing.has(phase)) return;
    this.isUrgent = false;
    this.settle();
  }

  /** It is tried again later, each time after twice as long. */
  fail(problem: string, nowMs: number): void {
    const delayMs = Math.min(firstRetryMs * 2 ** this.#numFailures, lastRetryMs);
    this.#numFailures++;
    this.failForGood(problem);
    this.#retryAtMs = nowMs + delayMs;
  }

  failForGood(problem: string): void {
    this.moveTo("failed");
    this.problem = problem;
  }

  /** It gets no new sequences until a person says otherwise. */
  suspend(problem: string): void {
    this.#suspension = problem;
    this.settle();
  }

  /** Nothing holds it back any more: it is where it would be, had nothing been found against it. */
  lift(): void {
    if (this.isSuspended) this.#shadow = noShadow;
    this.#suspension = null;
    this.#numFailures = 0;
    if (this.#phase === "failed" || this.#phase === "over-budget") this.retry();
  }

  /** Forgets that it failed, but not how often. */
  retry(): void {
    this.problem = null;
    this.moveTo(this.built === null ? "absent" : "stored");
  }

  /** Resolves when the phase that it is in, and those that follow by themselves, are over. Never rejects. */
  whenSettled(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  countEviction(reason: EvictionReason): void {
    this.evictionReasons[reason] = (this.evictionReasons[reason] ?? 0) + 1;
  }

  settle(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** @returns the mean KL divergence so far, nats a token */
  addShadow(record: ShadowRecord): number {
    const before = this.#shadow;
    this.#shadow = {
      requests: before.requests + 1,
      tokens: before.tokens + record.tokens,
      kl: before.kl + record.kl,
      agreeing: before.agreeing + record.agreeing,
    };
    return this.#shadow.tokens === 0 ? 0 : this.#shadow.kl / this.#shadow.tokens;
  }

  get shadowRequests(): number {
    return this.#shadow.requests;
  }

  snapshot(): ExpertSnapshot {
    const { requests, tokens, kl, agreeing } = this.#shadow;
    return {
      name: this.name,
      state: this.state,
      residentBytes: this.handle === null ? this.ownBytes : (this.built?.sizeBytes ?? 0),
      built: this.built,
      progress: this.progress,
      running: this.running,
      hits: this.hits,
      misses: this.misses,
      evictions: Object.values(this.evictionReasons).reduce((sum, count) => sum + count, 0),
      evictionReasons: { ...this.evictionReasons },
      loads: this.loads,
      loadsPutOff: this.loadsPutOff,
      loadSeconds: this.loadSeconds,
      stepSeconds: this.stepSeconds,
      lastUsedMs: this.lastUsedMs,
      problem: this.#suspension ?? this.problem,
      retryAtMs: this.#retryAtMs,
      shadow:
        tokens === 0
          ? null
          : { requests, tokens, kl: kl / tokens, topAgreement: agreeing / tokens },
    };
  }
}

const noShadow = { requests: 0, tokens: 0, kl: 0, agreeing: 0 };
