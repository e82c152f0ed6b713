import type { TokenTable } from "../../model/token-table.ts";
import type { Position, Positions } from "./positions.ts";
import type { TokenTrie } from "./token-trie.ts";

/** Which tokens may come next in one text. */
export class Matcher {
  readonly #positions: Positions;
  readonly #trie: TokenTrie;
  readonly #table: TokenTable;
  #position: Position;

  constructor(positions: Positions, trie: TokenTrie, table: TokenTable) {
    this.#positions = positions;
    this.#trie = trie;
    this.#table = table;
    this.#position = positions.start;
  }

  /** The text may end here. */
  get isComplete(): boolean {
    return this.#position.isEnd;
  }

  /**
   * Bit `i % 32` of element `i / 32` is set where token `i` may come next: tokens that end the text where it may end,
   * and no other control tokens. Not to be changed.
   * @throws GrammarError when the grammar leaves too many ways open
   */
  mask(): Int32Array {
    this.#positions.allowWork();
    this.#position.mask ??= this.#trie.mask(this.#position, this.#positions);
    return this.#position.mask;
  }

  /** Goes on behind a token that the mask allows; one that ends the text changes nothing. */
  accept(tokenId: number): void {
    const { bytes, offsets } = this.#table;
    for (let i = offsets[tokenId]!; i < offsets[tokenId + 1]!; i++) {
      const next = this.#positions.step(this.#position, bytes[i]!);
      if (next === null) throw new Error(`The grammar does not allow token ${tokenId} here.`);
      this.#position = next;
    }
  }
}
