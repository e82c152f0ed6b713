import type { Tokens } from "../contract/tokens.ts";

/** Tokens that must agree before what followed them is guessed to follow again. */
const ngramTokens = 3;

/** Tokens that are compared to tell a long agreement from a short one. */
const mostCompared = 16;

/** What may come next. */
export interface Guess {
  /** At least one. */
  readonly tokenIds: Uint32Array;
  /** Tokens before it that agree, from 3 on. */
  readonly agreement: number;
}

/**
 * Guesses that a text goes on as it did where its last tokens stood before: in a summary, an edited program or an extraction
 * they often have (prompt lookup decoding). What it costs a token does not depend on how long the text is.
 */
export class PromptLookup {
  readonly #tokens: Tokens;
  /** Where the text went on after three tokens, the last time, by a number made of them. */
  readonly #ends = new Map<number, number>();
  #numIndexed = ngramTokens - 1;

  constructor(tokens: Tokens) {
    this.#tokens = tokens;
  }

  /** @returns null where the last tokens are new to the text */
  guess(mostTokens: number): Guess | null {
    const { numTokens } = this.#tokens;
    if (numTokens < ngramTokens || mostTokens < 1) return null;
    const ids = this.#tokens.tokenIds(0, numTokens);
    for (; this.#numIndexed < numTokens; this.#numIndexed++) {
      if (this.#numIndexed >= ngramTokens)
        this.#ends.set(hashAt(ids, this.#numIndexed), this.#numIndexed);
    }
    const end = this.#ends.get(hashAt(ids, numTokens));
    if (end === undefined) return null;
    let agreement = 0;
    while (agreement < mostCompared && agreement < end) {
      if (ids[end - 1 - agreement] !== ids[numTokens - 1 - agreement]) break;
      agreement++;
    }
    if (agreement < ngramTokens) return null;
    // What repeats itself up to its end is guessed to go on so.
    const period = numTokens - end;
    const tokenIds = Uint32Array.from({ length: mostTokens }, (_, i) => ids[end + (i % period)]!);
    return { tokenIds, agreement };
  }
}

/** @param end of three tokens; different ones may have the same number */
function hashAt(ids: Uint32Array, end: number): number {
  return (
    (Math.imul(ids[end - 1]!, 0x9e3779b1) ^
      Math.imul(ids[end - 2]!, 0x85ebca6b) ^
      Math.imul(ids[end - 3]!, 0xc2b2ae35)) >>>
    0
  );
}
