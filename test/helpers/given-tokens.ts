import type { Tokens } from "../../engine/contract/tokens.ts";

/** Tokens that the test decides, whatever the logits say. */
export class GivenTokens implements Tokens {
  readonly #tokenIds: Uint32Array;
  readonly cacheSalt: string | undefined;
  numTokens: number;

  /** @param cacheSalt of the prefix cache; without it, nothing is shared */
  constructor(tokenIds: readonly number[], numTokens = tokenIds.length, cacheSalt?: string) {
    this.cacheSalt = cacheSalt;
    this.#tokenIds = Uint32Array.from(tokenIds);
    this.numTokens = numTokens;
  }

  get lastTokenId(): number {
    return this.#tokenIds[this.numTokens - 1]!;
  }

  tokenIds(start: number, end: number): Uint32Array {
    return this.#tokenIds.subarray(start, Math.min(end, this.numTokens));
  }
}
