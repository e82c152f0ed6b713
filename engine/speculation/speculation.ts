import type { Tokens } from "../contract/tokens.ts";
import { Acceptance } from "./acceptance.ts";
import { PassCosts } from "./pass-costs.ts";
import { PromptLookup } from "./prompt-lookup.ts";
import type { Guess } from "./prompt-lookup.ts";

/** Guesses must promise so many times the tokens of a second that there are without. */
const leastGain = 1.05;

export interface Guesser {
  /** Tokens that may be guessed of it now. */
  readonly mostTokens: number;
  readonly tokens: Tokens;
}

interface Watched {
  readonly lookup: PromptLookup;
  readonly acceptance: Acceptance;
}

/** Guessed tokens by sequence, as many of each, so that all stay one batch. */
export type Drafts = ReadonlyMap<Tokens, Uint32Array>;

export interface SpeculationOptions {
  /** Most tokens that are guessed at once. */
  readonly mostTokens: number;
}

/**
 * Guesses tokens that a step then computes together with the one that is due, where that gives more tokens a second: a pass
 * of several tokens takes little longer than that of one as long as reading the weights is what it waits for. How much
 * longer, and how often guesses are right, is measured as it goes; where it does not pay it stops by itself.
 */
export class Speculation {
  readonly #options: SpeculationOptions;
  readonly #costs = new PassCosts();
  readonly #watched = new WeakMap<Tokens, Watched>();
  /** Of the last plan. */
  readonly #guesses = new Map<Tokens, Guess>();

  constructor(options: SpeculationOptions) {
    this.#options = options;
  }

  /** @returns nothing where no guess pays */
  plan(guessers: readonly Guesser[]): Drafts {
    this.#guesses.clear();
    let mostTokens = this.#options.mostTokens;
    for (const guesser of guessers) mostTokens = Math.min(mostTokens, guesser.mostTokens);
    for (const { tokens } of guessers) {
      const watched = this.#watch(tokens);
      watched.acceptance.recover();
      const guess = watched.lookup.guess(mostTokens);
      if (guess) this.#guesses.set(tokens, guess);
    }
    const length = this.#bestLength(guessers.length, mostTokens);
    if (length === 0) return new Map();
    return new Map(
      guessers.map(({ tokens }) => {
        const guess = this.#guesses.get(tokens)?.tokenIds.subarray(0, length);
        // One without a guess of its own goes along with tokens that nobody expects.
        return [tokens, guess ?? new Uint32Array(length).fill(tokens.lastTokenId)];
      }),
    );
  }

  /**
   * What came of the last plan.
   * @param numRight guesses that the model agreed with before the first that it did not
   */
  learn(tokens: Tokens, numRight: number, numGuessed: number): void {
    const guess = this.#guesses.get(tokens);
    if (guess) this.#watch(tokens).acceptance.add(guess.agreement, numRight, numGuessed);
    this.#guesses.delete(tokens);
  }

  /** What a decode step has taken. @param numRows tokens in it */
  measured(numRows: number, seconds: number): void {
    this.#costs.add(numRows, seconds);
  }

  #bestLength(numSequences: number, mostTokens: number): number {
    if (this.#guesses.size === 0) return 0;
    let [best, bestRate] = [0, numSequences * leastGain];
    const shares = [...this.#guesses].map(([tokens, { agreement }]) =>
      this.#watch(tokens).acceptance.expected(agreement),
    );
    // Tokens to expect of all sequences together: of each the one that is due, and a geometric series.
    let expected = numSequences;
    const powers = shares.map(() => 1);
    for (let length = 1; length <= mostTokens; length++) {
      for (const [i, share] of shares.entries()) {
        powers[i]! *= share;
        expected += powers[i]!;
      }
      const rate = expected / this.#costs.ratio(numSequences, numSequences * (length + 1));
      if (rate > bestRate) [best, bestRate] = [length, rate];
    }
    return best;
  }

  #watch(tokens: Tokens): Watched {
    let watched = this.#watched.get(tokens);
    if (watched === undefined) {
      watched = { lookup: new PromptLookup(tokens), acceptance: new Acceptance() };
      this.#watched.set(tokens, watched);
    }
    return watched;
  }
}
