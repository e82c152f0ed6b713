import type { Sequence } from "./sequence.ts";

export interface SchedulerOptions {
  /** Sequences in prefill and decode together. */
  readonly maxBatch: number;
  /** KV memory for all of them; enough for one sequence of the largest length. */
  readonly kvBudgetBytes: number;
  /** KV bytes that a sequence of some length needs. */
  readonly kvBytesFor: (numTokens: number) => number;
}

/**
 * Owns the queues: waiting, then prefill (one at a time), then running, in order of arrival. When the
 * running sequences outgrow the KV memory, the youngest goes back to the front of the waiting queue and
 * is computed anew later, its tokens kept.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  #prefilling: Sequence | null = null;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  get running(): readonly Sequence[] {
    return this.#running;
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#prefilling === null && this.#running.length === 0;
  }

  /** KV bytes that the sequences in prefill and decode need for their next token. */
  get kvBytes(): number {
    const active = this.#prefilling ? [...this.#running, this.#prefilling] : this.#running;
    return active.reduce((sum, sequence) => sum + this.#needed(sequence), 0);
  }

  add(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  /** Takes a sequence out, wherever it is. */
  remove(sequence: Sequence): void {
    if (this.#prefilling === sequence) this.#prefilling = null;
    for (const queue of [this.#waiting, this.#running]) {
      const index = queue.indexOf(sequence);
      if (index >= 0) queue.splice(index, 1);
    }
  }

  /** All sequences, oldest first. */
  all(): Sequence[] {
    return [...this.#running, ...(this.#prefilling ? [this.#prefilling] : []), ...this.#waiting];
  }

  /** The sequence whose prefill goes on in this step; admits the next one when there is room. */
  nextPrefill(): Sequence | null {
    if (this.#prefilling) return this.#prefilling;
    const next = this.#waiting[0];
    if (!next || this.#running.length >= this.#options.maxBatch) return null;
    if (this.kvBytes + this.#needed(next) > this.#options.kvBudgetBytes) return null;
    this.#waiting.shift();
    this.#prefilling = next;
    return next;
  }

  /** The prefill is through: the sequence decodes from now on. */
  prefilled(): void {
    if (this.#prefilling) this.#running.push(this.#prefilling);
    this.#prefilling = null;
  }

  /** Sends the youngest back to wait until the rest can take one more token each. */
  preempt(): Sequence[] {
    const preempted: Sequence[] = [];
    while (this.kvBytes > this.#options.kvBudgetBytes) {
      const victim = this.#prefilling ?? this.#running.at(-1)!;
      this.remove(victim);
      this.#waiting.unshift(victim);
      preempted.push(victim);
    }
    return preempted;
  }

  #needed(sequence: Sequence): number {
    return this.#options.kvBytesFor(sequence.numTokens + 1);
  }
}
