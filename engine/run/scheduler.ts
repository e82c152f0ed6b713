import type { Sequence } from "../sequence/sequence.ts";

export interface SchedulerOptions {
  /** Sequences in prefill and decode together. */
  readonly maxBatch: number;
  /** KV memory for all of them; enough for one sequence of the largest length. */
  readonly kvBudgetBytes: number;
  /** KV bytes that a sequence needs for its next token, or its whole prefill. */
  readonly kvBytesOf: (sequence: Sequence) => number;
  /** Tokens that the prefill of a sequence has still to compute. */
  readonly numLeftOf: (sequence: Sequence) => number;
}

/** Of so many parts of prefill one is the oldest prompt's, however many shorter ones come. */
const partsPerTurn = 3;

interface Parked {
  readonly sequence: Sequence;
  /** What it waits for has come. */
  isReady: boolean;
  /** What its KV takes, where it has not lost it: else its prefill begins anew. */
  kvBytes: number | null;
}

/**
 * Owns the queues: waiting, then prefill, then running. Sequences are admitted in order of arrival. Of those in prefill
 * the one that has least left goes first, so that a long prompt does not hold up short ones, and the oldest now and then,
 * so that they do not hold it up for ever. When the KV memory is outgrown, the youngest goes back to wait in its place and
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
  /** Oldest first. */
  readonly #prefilling: Sequence[] = [];
  /** Parts of prefill since the oldest one's turn. */
  #numParts = 0;

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
      this.#prefilling.length > 0 ||
      this.#running.length > 0 ||
      this.#numReady > 0
    );
  }

  /** KV bytes that the sequences in prefill and decode need for their next token, and those that are parked hold. */
  get kvBytes(): number {
    let sum = this.#parkedKvBytes;
    for (const queue of [this.#running, this.#prefilling]) {
      for (const sequence of queue) sum += this.#needed(sequence);
    }
    return sum;
  }

  add(sequence: Sequence): void {
    this.#places.set(sequence, this.#numAdded++);
    this.#waiting.push(sequence);
  }

  /** Takes a sequence out, wherever it is. */
  remove(sequence: Sequence): void {
    for (const queue of [this.#waiting, this.#prefilling, this.#running]) {
      const index = queue.indexOf(sequence);
      if (index >= 0) queue.splice(index, 1);
    }
    const index = this.#parked.findIndex((parked) => parked.sequence === sequence);
    if (index < 0) return;
    const [parked] = this.#parked.splice(index, 1);
    this.#parkedKvBytes -= parked!.kvBytes ?? 0;
    if (parked!.isReady) this.#numReady--;
  }

  /** All sequences: those that run in the order in which they began to, of the others each kind oldest first. */
  all(): Sequence[] {
    return [
      ...this.#running,
      ...this.#prefilling,
      ...this.#parked.map(({ sequence }) => sequence),
      ...this.#waiting,
    ];
  }

  /** Admits the next sequence to prefill when there is room. Parked ones that are ready come first. */
  admit(): Sequence | null {
    const next = this.#next();
    if (!next || this.#isFull) return null;
    const { sequence, kvBytes } = next;
    if (kvBytes === null && this.#missing(sequence) > 0) return null;
    this.remove(sequence);
    this.#insert(this.#prefilling, sequence);
    return sequence;
  }

  /** The sequence that the next part of prefill is for. */
  nextPrefill(): Sequence | null {
    const [oldest] = this.#prefilling;
    if (!oldest) return null;
    if (this.#numParts === partsPerTurn - 1) return oldest;
    const { numLeftOf } = this.#options;
    return this.#prefilling.reduce((best, other) =>
      numLeftOf(other) < numLeftOf(best) ? other : best,
    );
  }

  /** A part of prefill was computed. */
  countPart(): void {
    this.#numParts = (this.#numParts + 1) % partsPerTurn;
  }

  /** The prefill is through: the sequence decodes from now on. */
  prefilled(sequence: Sequence): void {
    this.remove(sequence);
    this.#running.push(sequence);
  }

  /** A sequence in prefill waits for its expert. */
  park(sequence: Sequence): void {
    this.remove(sequence);
    const place = this.#placeOf(sequence);
    const after = this.#parked.findIndex((other) => this.#placeOf(other.sequence) > place);
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

  /** Takes the KV of parked sequences, the youngest first, where the next one can be admitted then. */
  makeRoom(): Sequence[] {
    const next = this.#next();
    if (!next || next.kvBytes !== null || this.#isFull) return [];
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
      const victim = parked ?? this.#youngest();
      preempted.push(victim);
      if (parked) continue;
      this.remove(victim);
      this.#insert(this.#waiting, victim);
    }
    return preempted;
  }

  get #isFull(): boolean {
    return this.#running.length + this.#prefilling.length >= this.#options.maxBatch;
  }

  /** Of those that run or are in prefill. */
  #youngest(): Sequence {
    return [...this.#running, ...this.#prefilling].reduce((youngest, other) =>
      this.#placeOf(other) > this.#placeOf(youngest) ? other : youngest,
    );
  }

  /** Into a queue that is in order of arrival. */
  #insert(queue: Sequence[], sequence: Sequence): void {
    const place = this.#placeOf(sequence);
    const before = queue.findLastIndex((other) => this.#placeOf(other) < place);
    queue.splice(before + 1, 0, sequence);
  }

  #placeOf(sequence: Sequence): number {
    return this.#places.get(sequence)!;
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
