/**
 * What each token id adds to a text, as bytes: enough to detokenise without a tokenizer, and cheap to
 * hand to another thread.
 */
export interface TokenTable {
  /** All token bytes, one after the other. */
  readonly bytes: Uint8Array;
  /** Token `i` is `bytes[offsets[i] .. offsets[i + 1])`. Shape `[vocabSize + 1]`. */
  readonly offsets: Uint32Array;
  /** 1 for control tokens (their bytes are empty: they add no text). Shape `[vocabSize]`. */
  readonly control: Uint8Array;
  /** How control tokens are written, in UTF-8, by their ids. */
  readonly controlTexts: ReadonlyMap<number, Uint8Array>;
  /** Ids that end a sequence. */
  readonly eosTokenIds: readonly number[];
}
