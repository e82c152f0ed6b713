import type { Stage } from "../device/device.ts";
import type { PartShape } from "./prefill.ts";

export const defaultMaxGapMs = 100;

/** Weight of the newest measurement in a mean: what the machine does of late counts, a single hiccup hardly. */
const weightOfNew = 0.25;

/** Of a decode step's time, that prefill gets in any case: beside many or long sequences prompts would else hardly get on. */
const leastShare = 0.5;

/**
 * Says how much prefill fits between two decode steps, by what its parts and those steps took of late. It only orders the
 * work: what is computed together, and so the answers, do not depend on it.
 */
export class PrefillPace {
  readonly #maxGapMs: number;
  readonly #now: () => number;
  /** Milliseconds a row, by stage and then by how many rows of how long a sequence. */
  readonly #rowMs = new WeakMap<Stage, Map<number, number>>();
  #decodeMs = 0;
  #decodedAtMs = 0;

  /**
   * @param maxGapMs between two tokens of a running sequence
   * @param now milliseconds on a steady clock
   */
  constructor(maxGapMs: number, now: () => number) {
    this.#maxGapMs = maxGapMs;
    this.#now = now;
  }

  /**
   * Whether a decode step after the part would still end in time, or prefill has not had its least share yet. Not where no
   * part of its kind was measured.
   */
  hasRoomFor(part: PartShape): boolean {
    const rowMs = this.#rowMs.get(part.stage)?.get(kindOf(part));
    if (rowMs === undefined) return false;
    const roomMs = Math.max(this.#maxGapMs - this.#decodeMs, leastShare * this.#decodeMs);
    return this.#now() + part.numRows * rowMs <= this.#decodedAtMs + roomMs;
  }

  /** Runs a part and takes its time. */
  async measure<Result>(part: PartShape, run: () => Promise<Result>): Promise<Result> {
    const startedAtMs = this.#now();
    const result = await run();
    const rowMs = (this.#now() - startedAtMs) / part.numRows;
    const known = this.#rowMs.get(part.stage) ?? new Map<number, number>();
    this.#rowMs.set(part.stage, known);
    const kind = kindOf(part);
    known.set(kind, mean(known.get(kind) ?? rowMs, rowMs));
    return result;
  }

  /** Runs a decode step, with which the time of the next gap begins, and takes its time. */
  async measureDecode(run: () => Promise<void>): Promise<void> {
    const startedAtMs = this.#now();
    await run();
    this.#decodedAtMs = this.#now();
    this.#decodeMs = mean(this.#decodeMs, this.#decodedAtMs - startedAtMs);
  }
}

function mean(before: number, value: number): number {
  return before + weightOfNew * (value - before);
}

/** Parts whose times by row are about the same: few rows share one reading of the weights, a long past takes its time. */
function kindOf({ numRows, numPast }: PartShape): number {
  const sizeOf = (numTokens: number) => 32 - Math.clz32(numTokens);
  return 32 * sizeOf(numRows - 1) + sizeOf(numPast);
}
