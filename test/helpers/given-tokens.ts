import type { Tokens } from "../../engine/model-runner.ts";

/** Tokens that the test decides, whatever the logits say. */
export class GivenTokens implements Tokens {
  readonly #tokenIds: Uint32Array;
  numTokens: number;

  constructor(tokenIds: readonly number[], numTokens = tokenIds.length) {
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
