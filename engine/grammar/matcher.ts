import type { TokenTable } from "../../model/text/token-table.ts";
import type { Position, Positions } from "./positions.ts";
import { bitsOf } from "./token-mask.ts";
import type { TokenTrie } from "./token-trie.ts";
import { maxWork, WorkLimit } from "./work-limit.ts";

export interface MatcherOptions {
  /** Positions of the grammar; others take their place when they were forgotten. */
  readonly positions: () => Positions;
  /** Called when there may be more of them. */
  readonly onGrowth: () => void;
  readonly trie: TokenTrie;
  readonly table: TokenTable;
}

/** Which tokens may come next in one text. */
export class Matcher {
  readonly #options: MatcherOptions;
  readonly #scratch: Int32Array;
  /** Null while nobody has asked. */
  #position: Position | null = null;
  #allowance = maxWork;

  constructor(options: MatcherOptions) {
    this.#options = options;
    this.#scratch = new Int32Array(options.trie.maskLength);
  }

  /** The text may end here. */
  get isComplete(): boolean {
    return this.#position?.isEnd ?? false;
  }

  /**
   * Bit `i % 32` of element `i / 32` is set where token `i` may come next: tokens that end the text where it may end,
   * and no other control tokens. Not to be changed, and good until the next call.
   * @throws GrammarError when the grammar leaves too many ways open
   */
  mask(): Int32Array {
    const { positions: find, onGrowth, trie } = this.#options;
    const positions = find();
    positions.work.allow(this.#allowance);
    const position = (this.#position ??= positions.start());
    if (position.mask === null) {
      // What is made for the mask may make room for itself, this position included.
      const mask = positions.keepMask(position, trie.mask(position, positions));
      this.#allowance = positions.work.left;
      onGrowth();
      return bitsOf(mask, this.#scratch);
    }
    return bitsOf(position.mask, this.#scratch);
  }

  /**
   * Goes on behind a token that the mask allows; one that ends the text changes nothing.
   * @throws GrammarError when the grammar leaves too many ways open
   */
  accept(tokenId: number): void {
    const { positions: find, table } = this.#options;
    const positions = find();
    positions.work.allow(this.#allowance);
    let position = this.#position ?? positions.start();
    for (let i = table.offsets[tokenId]!; i < table.offsets[tokenId + 1]!; i++) {
      const next = positions.step(position, table.bytes[i]!);
      if (next === null) throw new Error(`The grammar does not allow token ${tokenId} here.`);
      position = next;
    }
    this.#position = position;
    this.#allowance = WorkLimit.after(positions.work.left);
  }
}
