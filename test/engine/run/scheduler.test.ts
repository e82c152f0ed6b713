import test from "ava";
import fc from "fast-check";
import { Scheduler } from "../../../engine/run/scheduler.ts";
import { Sequence } from "../../../engine/sequence/sequence.ts";
import { numberedTokens, requestFor, somePrompt } from "../../helpers/requests.ts";

const size = 4;
const vocabulary = { table: numberedTokens(size), size };
const logits = new Float32Array(size);
const maxLength = 24;

function sequenceOf(id: number, promptLength: number, maxTokens: number): Sequence {
  const prompt = somePrompt(promptLength, id, size);
  return new Sequence(requestFor(String(id), prompt, { maxTokens }), vocabulary, () => 1);
}

/** One unit a token, in classes of 4. */
const kvBytesFor = (numTokens: number) => Math.ceil(numTokens / 4) * 4;

function schedulerFor(maxBatch: number, kvBudgetBytes: number): Scheduler {
  const kvBytesOf = ({ numTokens, maxTokens }: Sequence) =>
    kvBytesFor(Math.min(numTokens + 1, maxTokens));
  const numLeftOf = ({ numTokens }: Sequence) => numTokens;
  return new Scheduler({ maxBatch, kvBudgetBytes, kvBytesOf, numLeftOf });
}

type Command =
  | { readonly type: "add"; readonly promptLength: number; readonly maxTokens: number }
  | { readonly type: "remove"; readonly which: number }
  | { readonly type: "step"; readonly prefillEnds: boolean };

const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    type: fc.constant("add" as const),
    promptLength: fc.integer({ min: 1, max: maxLength / 2 }),
    maxTokens: fc.integer({ min: 1, max: maxLength / 2 }),
  }),
  fc.record({ type: fc.constant("remove" as const), which: fc.nat() }),
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant("step" as const), prefillEnds: fc.boolean() }),
  },
);

/** A scheduler, the sequences that must be in it, and the engine's steps without a model. */
class Simulation {
  readonly scheduler: Scheduler;
  readonly #maxBatch: number;
  readonly #budget: number;
  /** In order of arrival. */
  readonly #live: Sequence[] = [];
  readonly #admitted = new Set<Sequence>();
  #numAdded = 0;

  constructor(maxBatch: number, budget: number) {
    this.scheduler = schedulerFor(maxBatch, budget);
    this.#maxBatch = maxBatch;
    this.#budget = budget;
  }

  apply(next: Command): void {
    if (next.type === "add") {
      const sequence = sequenceOf(this.#numAdded++, next.promptLength, next.maxTokens);
      this.#live.push(sequence);
      this.scheduler.add(sequence);
    } else if (next.type === "remove") {
      const sequence = this.#live[next.which % Math.max(1, this.#live.length)];
      if (sequence) this.#remove(sequence);
    } else {
      this.step(next.prefillEnds);
    }
    this.#check();
  }

  /** @returns whether any sequence got on */
  step(prefillEnds: boolean): boolean {
    const before = this.scheduler.kvBytes;
    for (let next = this.scheduler.admit(); next; next = this.scheduler.admit()) {
      this.#admitted.add(next);
    }
    if (this.scheduler.kvBytes > Math.max(before, this.#budget)) throw new Error("over budget");
    if (this.#admitted.size > this.#maxBatch) throw new Error("too many sequences at once");
    const prefilling = this.scheduler.nextPrefill();
    if (prefilling) this.scheduler.countPart();
    if (prefilling && prefillEnds) {
      this.scheduler.prefilled(prefilling);
      this.#advance(prefilling);
    }
    const preempted = this.scheduler.preempt();
    if (this.scheduler.kvBytes > this.#budget) throw new Error("preemption left too much");
    for (const sequence of preempted) {
      if (this.scheduler.running.includes(sequence)) throw new Error("preempted, yet running");
      this.#admitted.delete(sequence);
    }
    const running = [...this.scheduler.running];
    for (const sequence of running) this.#advance(sequence);
    return running.length > 0 || prefilling !== null;
  }

  drain(): void {
    while (!this.scheduler.isIdle) {
      if (!this.step(true)) throw new Error("stuck");
      this.#check();
    }
    if (this.#live.length > 0) throw new Error("lost a sequence");
  }

  #advance(sequence: Sequence): void {
    sequence.advance(logits);
    if (sequence.finished) this.#remove(sequence);
  }

  #remove(sequence: Sequence): void {
    this.scheduler.remove(sequence);
    this.#admitted.delete(sequence);
    this.#live.splice(this.#live.indexOf(sequence), 1);
  }

  /**
   * Nobody is lost, nobody is there twice, those that were admitted are older than all that wait, the preempted among
   * them, and those wait in order of arrival.
   */
  #check(): void {
    const all = this.scheduler.all();
    const { size: numAdmitted } = this.#admitted;
    const admitted = new Set(all.slice(0, numAdmitted));
    const same =
      all.length === this.#live.length &&
      this.#live.every((s, i) => (i < numAdmitted ? admitted.has(s) : s === all[i])) &&
      [...this.#admitted].every((s) => admitted.has(s));
    if (!same) throw new Error(`${all.map((s) => s.id).join()}, not in order of arrival`);
    if (this.scheduler.isIdle !== (all.length === 0)) throw new Error("idle is wrong");
  }
}

test("whatever comes and goes: order of arrival, within batch and memory, to the end", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: kvBytesFor(maxLength), max: 4 * maxLength }),
      fc.array(command, { maxLength: 120 }),
      (maxBatch, budget, commands) => {
        const simulation = new Simulation(maxBatch, budget);
        for (const next of commands) simulation.apply(next);
        simulation.drain();
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});

test("a lone sequence of the largest length is never preempted", (t) => {
  const scheduler = schedulerFor(1, kvBytesFor(maxLength));
  const sequence = sequenceOf(0, 1, maxLength - 1);
  scheduler.add(sequence);
  t.is(scheduler.admit(), sequence);
  scheduler.prefilled(sequence);
  while (!sequence.finished) {
    t.deepEqual(scheduler.preempt(), []);
    sequence.advance(logits);
  }
});

test("of the prompts in prefill the one with least left goes on, of equals the oldest", (t) => {
  const scheduler = schedulerFor(4, 1000);
  const [long, short, other] = [9, 3, 3].map((length, id) => sequenceOf(id, length, 4)) as [
    ...[Sequence, Sequence, Sequence],
  ];
  for (const sequence of [long, short, other]) scheduler.add(sequence);
  t.is(scheduler.nextPrefill(), null);
  t.deepEqual([scheduler.admit(), scheduler.admit(), scheduler.admit()], [long, short, other]);
  t.is(scheduler.nextPrefill(), short);
  scheduler.prefilled(short);
  t.is(scheduler.nextPrefill(), other);
  scheduler.prefilled(other);
  t.is(scheduler.nextPrefill(), long);
  t.deepEqual(scheduler.running, [short, other]);
});

test("the oldest prompt gets every third part, however many shorter ones come", (t) => {
  const scheduler = schedulerFor(100, 1000);
  const long = sequenceOf(0, 12, 4);
  scheduler.add(long);
  scheduler.admit();
  const parts: boolean[] = [];
  for (let id = 1; id <= 9; id++) {
    scheduler.add(sequenceOf(id, 2, 4));
    scheduler.admit();
    // Looking takes no turn.
    t.is(scheduler.nextPrefill(), scheduler.nextPrefill());
    parts.push(scheduler.nextPrefill() === long);
    scheduler.countPart();
  }
  t.deepEqual(parts, [false, false, true, false, false, true, false, false, true]);
});

test("D48: admission counts bytes, not requests: nobody is admitted into a full batch or more memory than there is", (t) => {
  const full = schedulerFor(1, 1000);
  full.add(sequenceOf(0, 4, 4));
  full.prefilled(full.admit()!);
  full.add(sequenceOf(1, 4, 4));
  t.is(full.admit(), null);

  const tight = schedulerFor(4, kvBytesFor(8) + kvBytesFor(4) - 1);
  const [first, second, small] = [sequenceOf(0, 7, 1), sequenceOf(1, 3, 1), sequenceOf(2, 1, 1)];
  for (const sequence of [first, second, small]) tight.add(sequence);
  t.is(tight.admit(), first);
  tight.prefilled(first);
  t.is(tight.admit(), null);
  tight.remove(first);
  t.is(tight.admit(), second);
});

test("the youngest goes first when memory runs out, in prefill or not", (t) => {
  const scheduler = schedulerFor(4, 12);
  const [first, second, third] = [0, 1, 2].map((id) => sequenceOf(id, 3, 8)) as [
    Sequence,
    Sequence,
    Sequence,
  ];
  for (const sequence of [first, second, third]) scheduler.add(sequence);
  for (let i = 0; i < 3; i++) scheduler.admit();
  scheduler.prefilled(third);
  scheduler.prefilled(first);
  first.advance(logits); // its next token is the fifth, which needs another class
  t.deepEqual(scheduler.preempt(), [third]);
  first.advance(logits);
  for (let i = 0; i < 3; i++) first.advance(logits); // and the ninth another one
  t.deepEqual(scheduler.preempt(), [second]);
  t.deepEqual(scheduler.all(), [first, second, third]);
});

test("a parked sequence makes way, and comes back before those that wait, in order of arrival", (t) => {
  const scheduler = schedulerFor(4, 1000);
  const [a, b, c, d] = [1, 2, 3, 4].map((id) => sequenceOf(id, 4, 4)) as [
    ...[Sequence, Sequence, Sequence, Sequence],
  ];
  for (const sequence of [a, b, c, d]) scheduler.add(sequence);
  for (const sequence of [a, b]) {
    t.is(scheduler.admit(), sequence);
    scheduler.park(sequence);
  }
  t.is(scheduler.admit(), c);
  t.deepEqual(scheduler.all(), [c, a, b, d]);
  scheduler.unpark(b);
  scheduler.unpark(a);
  scheduler.prefilled(c);
  t.is(scheduler.admit(), a);
  scheduler.park(a);
  t.is(scheduler.admit(), b);
  scheduler.park(b);
  scheduler.unpark(b);
  scheduler.unpark(a);
  t.deepEqual([scheduler.admit(), scheduler.admit(), scheduler.admit()], [a, b, d]);
  scheduler.unpark(d);
  t.is(scheduler.admit(), null);
});

test("with nothing but sequences that wait for their expert there is no work, but also no end", (t) => {
  const scheduler = schedulerFor(4, 1000);
  const sequence = sequenceOf(1, 4, 4);
  scheduler.add(sequence);
  scheduler.admit();
  t.true(scheduler.hasWork);
  scheduler.park(sequence);
  t.false(scheduler.hasWork);
  t.false(scheduler.isIdle);
  scheduler.unpark(sequence);
  t.true(scheduler.hasWork);
  scheduler.remove(sequence);
  t.true(scheduler.isIdle);
  scheduler.unpark(sequence);
  t.true(scheduler.isIdle);
});

test("the KV of parked sequences goes first, and only where that makes room", (t) => {
  const scheduler = schedulerFor(4, 24);
  const [a, b, c, d] = [3, 3, 11, 23].map((length, id) => sequenceOf(id, length, 1)) as [
    ...[Sequence, Sequence, Sequence, Sequence],
  ];
  for (const sequence of [a, b, c]) scheduler.add(sequence);
  for (const sequence of [a, b]) {
    t.is(scheduler.admit(), sequence);
    scheduler.park(sequence);
  }
  t.is(scheduler.kvBytes, 8);
  t.deepEqual(scheduler.makeRoom(), []);
  t.is(scheduler.admit(), c);
  t.is(scheduler.kvBytes, 20);
  // Not even all of it would do for this one.
  scheduler.add(d);
  t.deepEqual(scheduler.makeRoom(), []);
  t.is(scheduler.admit(), null);
  scheduler.remove(c);
  t.deepEqual(scheduler.makeRoom(), [b, a]);
  t.is(scheduler.admit(), d);
  scheduler.unpark(a);
  scheduler.prefilled(d);
  t.is(scheduler.admit(), null);
  scheduler.remove(d);
  t.is(scheduler.admit(), a);
});
