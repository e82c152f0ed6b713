/** What a forward pass needs of a sequence. */
export interface Tokens {
  /** Prompt and output so far. */
  readonly numTokens: number;
  readonly lastTokenId: number;
  /** Tokens `[start, end)`; `end` may lie past the last. */
  tokenIds(start: number, end: number): Uint32Array;
  /** Absent where nobody wants more of the prompt than the logits of its last token. */
  readonly reader?: PromptReader;
  /**
   * Prompts of the same salt share what was computed for their common beginning. Absent where nothing is to be shared.
   */
  readonly cacheSalt?: string | undefined;
}

/** Reads what the model makes of a prompt while it is computed. A prefill that is taken back begins anew. */
export interface PromptReader {
  /** Nothing that was computed for others serves it: it reads all positions. */
  readonly readsAll: boolean;
  /** What it wants of the next chunk besides the logits of the prompt's last token; `states` it takes instead of them. */
  readonly wants: "nothing" | "logits" | "states";
  /** It wants the trunk's output of the next chunk. */
  readonly wantsTrunk: boolean;
  /** The prefill begins. */
  begin(): void;
  /** @param rows the trunk's output of the next tokens. Shape `[numTokens, hiddenSize]`. */
  addTrunk(rows: Float32Array): void;
  /** The whole prompt has passed the trunk. */
  endTrunk(): void;
  /**
   * @param start first token of the chunk
   * @param logits shape `[numTokens, vocabSize]`
   */
  addLogits(start: number, logits: Float32Array, vocabSize: number): void;
  /**
   * @param start first token of the chunk
   * @param rows what the last norm takes. Shape `[numTokens, hiddenSize]`.
   */
  addStates(start: number, rows: Float32Array, numTokens: number): void;
}
