import type { EvictionReason, ExpertSnapshot } from "../contract/experts.ts";
import { secondsOfOne, type StepCost } from "./serve-policy.ts";

type Counts = Pick<
  ExpertSnapshot,
  | "running"
  | "hits"
  | "misses"
  | "evictions"
  | "evictionReasons"
  | "loads"
  | "loadsPutOff"
  | "loadSeconds"
  | "stepSeconds"
  | "lastUsedMs"
>;

/** What is counted of one middle. */
export class ExpertCounts {
  #running = 0;
  #hits = 0;
  misses = 0;
  loadsPutOff = 0;
  #loads = 0;
  #loadSeconds: number | null = null;
  #stepSeconds: number | null = null;
  #lastUsedMs: number | null = null;
  readonly #evictionReasons: Partial<Record<EvictionReason, number>> = {};

  /** Sequences that run on it now. */
  get running(): number {
    return this.#running;
  }

  /** A sequence runs on it from now on. */
  begin(nowMs: number): void {
    this.#running++;
    this.#hits++;
    this.#lastUsedMs = nowMs;
  }

  /** A sequence has left it. */
  end(nowMs: number): void {
    this.#running--;
    this.#lastUsedMs = nowMs;
  }

  measured(cost: StepCost): void {
    this.#stepSeconds = secondsOfOne(cost);
  }

  loaded(seconds: number): void {
    this.#loads++;
    this.#loadSeconds = seconds;
  }

  evicted(reason: EvictionReason): void {
    this.#evictionReasons[reason] = (this.#evictionReasons[reason] ?? 0) + 1;
  }

  snapshot(): Counts {
    return {
      running: this.#running,
      hits: this.#hits,
      misses: this.misses,
      evictions: Object.values(this.#evictionReasons).reduce((sum, count) => sum + count, 0),
      evictionReasons: { ...this.#evictionReasons },
      loads: this.#loads,
      loadsPutOff: this.loadsPutOff,
      loadSeconds: this.#loadSeconds,
      stepSeconds: this.#stepSeconds,
      lastUsedMs: this.#lastUsedMs,
    };
  }
}
