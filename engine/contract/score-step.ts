/** What a step over a text came to. */
export type ScoreStep =
  /** A chunk has passed the trunk. */
  | { readonly kind: "trunk" }
  /** Logits `[tokens of the chunk that count, vocabSize]`; there may be none of them. */
  | { readonly kind: "logits"; readonly logits: Float32Array }
  /** The text is through. */
  | { readonly kind: "end" };

export interface ScoreOptions {
  readonly middle: string;
  /** Tokens of one step, the same in all steps of a sequence. */
  readonly chunk: number;
  /** First token whose logits count. */
  readonly from: number;
}
