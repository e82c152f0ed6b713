import type { Sequence } from "../sequence/sequence.ts";

export interface SchedulerOptions {
  /** Sequences in prefill and decode together. */
  readonly maxBatch: number;
  /** KV memory for all of them; enough for one sequence of the largest length. */
  readonly kvBudgetBytes: number;
  /** KV bytes that a sequence needs for its next token, or its whole prefill. */
  readonly kvBytesOf: (sequence: Sequence) => number;
}

interface Parked {
  readonly sequence: Sequence;
  /** What it waits for has come. */
  isReady: boolean;
  /** What its KV takes, where it has not lost it: else its prefill begins anew. */
  kvBytes: number | null;
}

/**
 * Owns the queues: waiting, then prefill (one at a time), then running, in order of arrival. When the
 * running sequences outgrow the KV memory, the youngest goes back to the front of the waiting queue and
 * is computed anew later, its tokens kept.
 *
 * A sequence that waits for its expert in the middle of its prefill is parked: others overtake it, and it takes no
 * place in the batch. It keeps its KV as long as nobody else needs the memory.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  /** Oldest first. */
  readonly #parked: Parked[] = [];
  /** KV bytes of all parked sequences together, so that many of them cost no step anything. */
  #parkedKvBytes = 0;
  #numReady = 0;
  /** Place in the order of arrival. */
  readonly #places = new WeakMap<Sequence, number>();
  #numAdded = 0;
  #prefilling: Sequence | null = null;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  get running(): readonly Sequence[] {
    return this.#running;
  }

  /** Sequences that wait for their expert, those among them that need wait no longer. */
  get numParked(): number {
    return this.#parked.length;
  }

  /** No sequence is left. */
  get isIdle(): boolean {
    return !this.hasWork && this.#parked.length === 0;
  }

  /** There are sequences besides those that wait for their expert. */
  get hasWork(): boolean {
    return (
      this.#waiting.length > 0 ||
      this.#prefilling !== null ||
      this.#running.length > 0 ||
      this.#numReady > 0
    );
  }

  /** KV bytes that the sequences in prefill and decode need for their next token, and those that are parked hold. */
  get kvBytes(): number {
    const active = [...this.#running, ...(this.#prefilling ? [this.#prefilling] : [])];
    return active.reduce((sum, sequence) => sum + this.#needed(sequence), this.#parkedKvBytes);
  }

  add(sequence: Sequence): void {
    this.#places.set(sequence, this.#numAdded++);
    this.#waiting.push(sequence);
  }

  /** Takes a sequence out, wherever it is. */
  remove(sequence: Sequence): void {
    if (this.#prefilling === sequence) this.#prefilling = null;
    for (const queue of [this.#waiting, this.#running]) {
      const index = queue.indexOf(sequence);
      if (index >= 0) queue.splice(index, 1);
    }
    const index = this.#parked.findIndex((parked) => parked.sequence === sequence);
    if (index < 0) return;
    const [parked] = this.#parked.splice(index, 1);
    this.#parkedKvBytes -= parked!.kvBytes ?? 0;
    if (parked!.isReady) this.#numReady--;
  }

  /** All sequences, oldest first, save that those that are parked come before those that wait. */
  all(): Sequence[] {
    return [
      ...this.#running,
      ...(this.#prefilling ? [this.#prefilling] : []),
      ...this.#parked.map(({ sequence }) => sequence),
      ...this.#waiting,
    ];
  }

  /**
   * The sequence whose prefill goes on in this step; admits the next one when there is room. Parked ones that are
   * ready come first.
   */
  nextPrefill(): Sequence | null {
    if (this.#prefilling) return this.#prefilling;
    const next = this.#next();
    if (!next || this.#running.length >= this.#options.maxBatch) return null;
    const { sequence, kvBytes } = next;
    if (kvBytes === null && this.#missing(sequence) > 0) return null;
    this.remove(sequence);
    this.#prefilling = sequence;
    return sequence;
  }

  /** The prefill is through: the sequence decodes from now on. */
  prefilled(): void {
    if (this.#prefilling) this.#running.push(this.#prefilling);
    this.#prefilling = null;
  }

  /** The sequence in prefill waits for its expert, and the next one may begin. */
  park(): void {
    const sequence = this.#prefilling;
    if (!sequence) return;
    this.#prefilling = null;
    const place = this.#places.get(sequence)!;
    const after = this.#parked.findIndex((other) => this.#places.get(other.sequence)! > place);
    const kvBytes = this.#needed(sequence);
    const parked = { sequence, isReady: false, kvBytes };
    this.#parked.splice(after < 0 ? this.#parked.length : after, 0, parked);
    this.#parkedKvBytes += kvBytes;
  }

  /** What a parked sequence waited for has come. Nothing where it is not parked any more. */
  unpark(sequence: Sequence): void {
    const parked = this.#parked.find((other) => other.sequence === sequence);
    if (!parked || parked.isReady) return;
    parked.isReady = true;
    this.#numReady++;
  }

  /** Takes the KV of parked sequences, the youngest first, where the next prefill then has room. */
  makeRoom(): Sequence[] {
    const next = this.#next();
    if (!next || next.kvBytes !== null) return [];
    if (this.#prefilling || this.#running.length >= this.#options.maxBatch) return [];
    if (this.#missing(next.sequence) > this.#parkedKvBytes) return [];
    const taken: Sequence[] = [];
    while (this.#missing(next.sequence) > 0) taken.push(this.#takeKv()!);
    return taken;
  }

  /**
   * Takes KV until the rest can take one more token each: that of parked sequences, then that of the youngest,
   * which go back to wait.
   */
  preempt(): Sequence[] {
    const preempted: Sequence[] = [];
    while (this.kvBytes > this.#options.kvBudgetBytes) {
      const parked = this.#takeKv();
      const victim = parked ?? this.#prefilling ?? this.#running.at(-1)!;
      preempted.push(victim);
      if (parked) continue;
      this.remove(victim);
      this.#waiting.unshift(victim);
    }
    return preempted;
  }

  #next(): Pick<Parked, "sequence" | "kvBytes"> | null {
    if (this.#numReady > 0) return this.#parked.find(({ isReady }) => isReady)!;
    const sequence = this.#waiting[0];
    return sequence ? { sequence, kvBytes: null } : null;
  }

  /** The youngest parked sequence that has KV, which it loses. */
  #takeKv(): Sequence | null {
    const victim = this.#parked.findLast(({ kvBytes }) => kvBytes !== null);
    if (!victim) return null;
    this.#parkedKvBytes -= victim.kvBytes!;
    victim.kvBytes = null;
    return victim.sequence;
  }

  /** KV bytes that a sequence needs more than there are. */
  #missing(sequence: Sequence): number {
    return this.kvBytes + this.#needed(sequence) - this.#options.kvBudgetBytes;
  }

  #needed(sequence: Sequence): number {
    return this.#options.kvBytesOf(sequence);
  }
}
