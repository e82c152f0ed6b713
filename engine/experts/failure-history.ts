const firstRetryMs = 60_000;
const lastRetryMs = 30 * 60_000;

/** What has gone wrong with an expert since it was last in memory. */
export class FailureHistory {
  #numFailures = 0;
  #wasRebuilt = false;

  /** One more failure. @returns milliseconds until it is tried again: each time twice as many, up to half an hour */
  add(): number {
    return Math.min(firstRetryMs * 2 ** this.#numFailures++, lastRetryMs);
  }

  /** The expert's artifact is damaged. @returns whether building it anew may help: only the first time */
  addDamage(): boolean {
    const isFirst = !this.#wasRebuilt;
    this.#wasRebuilt = true;
    return isFirst;
  }

  /** The next failure counts as the first. */
  forgive(): void {
    this.#numFailures = 0;
  }
}
