import type { SequenceScore } from "./scoring-model.ts";

/** Sums by text, in the order of the texts. */
export interface TextOutcomes {
  readonly kind: "text";
  /** Tokens that count. */
  readonly numTokens: Float64Array;
  /** Negative log-likelihood, nats. */
  readonly loss: Float64Array;
  /** Kullback-Leibler divergence from dense to this model, nats; null for dense itself. */
  readonly kl: Float64Array | null;
  /** Tokens whose most likely ones are dense's; null for dense itself. */
  readonly numAgreeing: Float64Array | null;
}

export function textOutcomes(scores: readonly SequenceScore[]): TextOutcomes {
  const compared = scores.every(({ kl }) => kl !== null);
  return {
    kind: "text",
    numTokens: Float64Array.from(scores, ({ numTokens }) => numTokens),
    loss: Float64Array.from(scores, ({ logProb }) => -logProb),
    kl: compared ? Float64Array.from(scores, ({ kl }) => kl!) : null,
    numAgreeing: compared ? Float64Array.from(scores, ({ numAgreeing }) => numAgreeing!) : null,
  };
}
