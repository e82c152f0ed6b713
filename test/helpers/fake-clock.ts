import type { Clock } from "../../server/base/clock.ts";

/** Time that passes only when a test says so. */
export class FakeClock implements Clock {
  #nowMs = 1000;
  readonly #timers = new Set<{ readonly periodMs: number; dueMs: number; callback: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  every(periodMs: number, callback: () => void): () => void {
    const timer = { periodMs, dueMs: this.#nowMs + periodMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets time pass, calling back as often as it would have been. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.dueMs - b.dueMs);
      if (next === undefined || next.dueMs > endMs) break;
      this.#nowMs = next.dueMs;
      next.dueMs += next.periodMs;
      next.callback();
    }
    this.#nowMs = endMs;
  }
}
