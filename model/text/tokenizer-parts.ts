import type { AddedToken } from "./added-tokens.ts";
import type { BytePairEncoder } from "./bpe.ts";

/** What the readers of a format find out about its tokenizer. */
export interface TokenizerParts {
  /** Content by token id; empty where an id is unused. */
  readonly contents: readonly string[];
  readonly encoder: BytePairEncoder;
  readonly addedTokens: readonly AddedToken[];
  /** `normalizer` and `pre_tokenizer` as tokenizer.json writes them. */
  readonly normalizer: unknown;
  readonly preTokenizer: unknown;
  /** The text a token stands for, as bytes; not asked for added tokens. */
  readonly tokenBytes: (content: string, id: number) => Uint8Array;
  readonly bosTokenId: number | null;
  readonly eosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly addBos: boolean;
  /** Encoding puts a space before the text, so decoding takes one away. */
  readonly addsSpace: boolean;
}
