import type { TokenTable } from "../model/token-table.ts";

const noBytes = new Uint8Array();

/**
 * Token ids of one sequence to text, piece by piece. The joined pieces are the text of all tokens'
 * bytes decoded at once: bytes that can never become a character turn into U+FFFD, and only an
 * incomplete character that the next token may still complete is held back.
 */
export class Detokenizer {
  readonly #table: TokenTable;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(table: TokenTable) {
    this.#table = table;
  }

  /** Text that has become final with this token. Control and unknown tokens add none. */
  push(tokenId: number): string {
    const { bytes, offsets } = this.#table;
    if (tokenId + 1 >= offsets.length) return "";
    const tokenBytes = bytes.subarray(offsets[tokenId], offsets[tokenId + 1]);
    return tokenBytes.length === 0 ? "" : this.#decoder.decode(tokenBytes, { stream: true });
  }

  /** The rest at the end of the sequence: a truncated character becomes U+FFFD. Ready for another one. */
  flush(): string {
    return this.#decoder.decode(noBytes);
  }
}
