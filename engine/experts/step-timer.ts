import type { Device, HiddenStates, SequenceKv, Stage } from "../device/device.ts";
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
/** Steps that are timed, after one that warms up; the fastest counts, as everything else is the machine's other work. */
const numRuns = 3;
/** A short context: what sequences of any middle pay for long ones is the same. */
const contextLength = 64;

/** KV positions that a measurement needs for a moment, in trunk and middle. */
export const timedPositions = manyRows * contextLength;

/** Measures what decode steps through a middle take on this machine. */
export class StepTimer {
  readonly #options: StepTimerOptions;

  constructor(options: StepTimerOptions) {
    this.#options = options;
  }

  /** Some runs, each between two steps of the engine. @throws InferenceError */
  async measure(stages: readonly Stage[]): Promise<StepCost> {
    const { device, trunk } = this.#options;
    const kvs = await device.openKv([trunk, ...stages], contextLength, manyRows);
    try {
      const few = await this.#fastest(stages, kvs.slice(0, fewRows));
      const many = await this.#fastest(stages, kvs);
      const perRowSeconds = Math.max(0, many - few) / (manyRows - fewRows);
      return { fixedSeconds: Math.max(0, few - fewRows * perRowSeconds), perRowSeconds };
    } finally {
      for (const kv of kvs) kv.release();
    }
  }

  async #fastest(stages: readonly Stage[], kvs: readonly SequenceKv[]): Promise<number> {
    let fastestMs = Infinity;
    for (let run = 0; run <= numRuns; run++) {
      await this.#options.turnstile.run(async () => {
        const tookMs = await this.#decodeStep(stages, kvs);
        if (run > 0) fastestMs = Math.min(fastestMs, tookMs);
      });
    }
    return fastestMs / 1000;
  }

  /** One token each at the end of the context. @returns milliseconds of the middle's part */
  async #decodeStep(stages: readonly Stage[], kvs: readonly SequenceKv[]): Promise<number> {
    const { device, trunk, now } = this.#options;
    for (const kv of kvs) await device.setLength(kv, contextLength - 1);
    const pass = device.createPass();
    const inputs = kvs.map((kv) => ({ kv, input: Uint32Array.of(0) }));
    const kept: HiddenStates[] = [];
    try {
      kept.push(...(await pass.forward([trunk], inputs)));
      await device.settle();
      const startedAt = now();
      const middleInputs = kvs.map((kv, i) => ({ kv, input: kept[i]! }));
      kept.push(...(await pass.forward(stages, middleInputs)));
      await device.settle();
      return now() - startedAt;
    } finally {
      for (const hidden of kept) hidden.dispose();
    }
  }
}
