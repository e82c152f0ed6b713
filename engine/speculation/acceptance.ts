/** What is taken for the share of right guesses before any was seen, by how long the agreement was. */
const firstShares = [0.4, 0.6, 0.8];

/** Weight of what was seen last. */
const freshness = 0.2;

/** How fast a share that is low comes back, per step, so that a text that begins to repeat itself is noticed. */
const recovery = 0.001;

/** How often the guesses of one sequence were right. */
export class Acceptance {
  readonly #shares = [...firstShares];

  /** Share of right guesses to expect, 0 to 1. */
  expected(agreement: number): number {
    return this.#shares[kindOf(agreement)]!;
  }

  /** @param numRight guesses that were right before the first wrong one @param numGuessed with that one, where there is one */
  add(agreement: number, numRight: number, numGuessed: number): void {
    const kind = kindOf(agreement);
    const numSeen = Math.min(numRight + 1, numGuessed);
    for (let i = 0; i < numSeen; i++) {
      const isRight = i < numRight ? 1 : 0;
      this.#shares[kind]! += freshness * (isRight - this.#shares[kind]!);
    }
  }

  /** A step has passed. */
  recover(): void {
    for (const [kind, first] of firstShares.entries()) {
      const share = this.#shares[kind]!;
      if (share < first) this.#shares[kind] = share + recovery * (first - share);
    }
  }
}

function kindOf(agreement: number): number {
  if (agreement >= 10) return 2;
  return agreement >= 5 ? 1 : 0;
}
