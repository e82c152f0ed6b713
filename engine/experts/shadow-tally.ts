import type { ShadowSummary } from "../contract/experts.ts";

/** Comparison of one finished request with dense, summed over its tokens. */
export interface ShadowRecord {
  readonly tokens: number;
  /** Sum of the KL divergences from dense to the expert, nats. */
  readonly kl: number;
  /** Tokens whose most likely next token is dense's. */
  readonly agreeing: number;
}

/** Sums up the comparisons of one expert with dense. */
export class ShadowTally {
  #requests = 0;
  #tokens = 0;
  #kl = 0;
  #agreeing = 0;

  get requests(): number {
    return this.#requests;
  }

  /** Mean KL divergence so far, nats a token. */
  get meanKl(): number {
    return this.#tokens === 0 ? 0 : this.#kl / this.#tokens;
  }

  add({ tokens, kl, agreeing }: ShadowRecord): void {
    this.#requests++;
    this.#tokens += tokens;
    this.#kl += kl;
    this.#agreeing += agreeing;
  }

  /** Null before the first token. */
  summary(): ShadowSummary | null {
    if (this.#tokens === 0) return null;
    return {
      requests: this.#requests,
      tokens: this.#tokens,
      kl: this.meanKl,
      topAgreement: this.#agreeing / this.#tokens,
    };
  }
}
