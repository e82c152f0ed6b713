import type { Device, ForwardPass, KvArena, Stage, StageInput } from "../device/device.ts";
import type { StepCost } from "./serve-policy.ts";
import type { Turnstile } from "./turnstile.ts";

export interface StepTimerOptions {
  readonly device: Device;
  readonly trunk: Stage;
  readonly turnstile: Turnstile;
  /** Milliseconds on a steady clock. */
  readonly now: () => number;
}

/** Rows of the two steps that a line is drawn through. */
const [fewRows, manyRows] = [1, 4] as const;
/** Of each, after one that warms up; the fastest counts, as everything else is the machine's other work. */
const numRuns = 3;
/** A short context: what sequences of any middle pay for long ones is the same. */
const capacity = 64;

/** KV positions that a measurement needs for a moment, in trunk and middle. */
export const timedPositions = manyRows * capacity;

interface Place {
  readonly stage: Stage;
  readonly arena: KvArena;
}

/** Measures what decode steps through a middle take on this machine. */
export class StepTimer {
  readonly #options: StepTimerOptions;

  constructor(options: StepTimerOptions) {
    this.#options = options;
  }

  /** Some runs, each between two steps of the engine. @throws InferenceError */
  async measure(stages: readonly Stage[]): Promise<StepCost> {
    const { device, trunk } = this.#options;
    const [first, ...rest] = [trunk, ...stages].map((stage): Place => {
      const { layers, headDim } = stage.spec;
      const arena = device.createArena({ layers, headDim, capacity, numSlots: manyRows });
      return { stage, arena };
    });
    try {
      const few = await this.#fastest(first!, rest, fewRows);
      const many = await this.#fastest(first!, rest, manyRows);
      const perRowSeconds = Math.max(0, many - few) / (manyRows - fewRows);
      return { fixedSeconds: Math.max(0, few - fewRows * perRowSeconds), perRowSeconds };
    } finally {
      for (const { arena } of [first!, ...rest]) arena.dispose();
    }
  }

  async #fastest(trunk: Place, middle: readonly Place[], numRows: number): Promise<number> {
    const { device, now, turnstile } = this.#options;
    // One decode step at the end of the context, which is as it was afterwards.
    const pastLengths = Array.from({ length: numRows }, () => capacity - 1);
    let fastestMs = Infinity;
    for (let run = 0; run <= numRuns; run++) {
      await turnstile.run(async () => {
        const pass = device.createPass(pastLengths, 1);
        let hidden = await forward(trunk, new Uint32Array(numRows), pass);
        const startedAt = now();
        for (const place of middle) {
          const input = hidden;
          hidden = await forward(place, input, pass);
          input.dispose();
        }
        if (run > 0) fastestMs = Math.min(fastestMs, now() - startedAt);
        hidden.dispose();
      });
    }
    return fastestMs / 1000;
  }
}

function forward({ stage, arena }: Place, input: StageInput, pass: ForwardPass) {
  return stage.forward(input, { arena, firstSlot: 0, pass });
}
