import { GrammarError } from "../contract/errors.ts";

/** Work for one token of one answer: more would hold up all others. A unit is a transition followed, some 0.1 to 0.5 µs. */
export const maxWork = 250_000;

/** What an answer that has done so much may do for each token after that. What is not done is saved up. */
const workPerToken = 25_000;

/** Counts what finding positions costs. */
export class WorkLimit {
  #left = maxWork;

  get left(): number {
    return this.#left;
  }

  /** @returns what may be done for a token when `left` was left at the one before */
  static after(left: number): number {
    return Math.min(maxWork, Math.max(0, left) + workPerToken);
  }

  /** From now on as much may be done. */
  allow(work: number): void {
    this.#left = work;
  }

  /** @throws GrammarError when it has been too much */
  spend(work: number): void {
    this.#left -= work;
    if (this.#left < 0) throw new GrammarError("The grammar leaves too many ways open at once.");
  }
}
