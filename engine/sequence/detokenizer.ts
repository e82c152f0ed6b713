import type { TokenTable } from "../../model/text/token-table.ts";

const noBytes = new Uint8Array();

/**
 * Token ids of one sequence to text, piece by piece. The joined pieces are the text of all tokens'
 * bytes decoded at once: bytes that can never become a character turn into U+FFFD, and only an
 * incomplete character that the next token may still complete is held back.
 */
export class Detokenizer {
  readonly #table: TokenTable;
  readonly #keepControl: boolean;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** @param keepControl control tokens add their text */
  constructor(table: TokenTable, keepControl = false) {
    this.#table = table;
    this.#keepControl = keepControl;
  }

  /** Text that has become final with this token. Unknown tokens add none. */
  push(tokenId: number): string {
    const { bytes, offsets, controlTexts } = this.#table;
    if (tokenId + 1 >= offsets.length) return "";
    const tokenBytes =
      (this.#keepControl ? controlTexts.get(tokenId) : undefined) ??
      bytes.subarray(offsets[tokenId], offsets[tokenId + 1]);
    return tokenBytes.length === 0 ? "" : this.#decoder.decode(tokenBytes, { stream: true });
  }

  /** The rest at the end of the sequence: a truncated character becomes U+FFFD. Ready for another one. */
  flush(): string {
    return this.#decoder.decode(noBytes);
  }
}
