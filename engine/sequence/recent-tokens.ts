/** The last tokens of a text, each once. */
export class RecentTokens {
  readonly #window: number;
  readonly #counts = new Map<number, number>();
  /** All that were added; only kept where some leave again. */
  readonly #added: number[] = [];

  /** @param window number of tokens, Infinity for all */
  constructor(window: number) {
    this.#window = window;
  }

  add(tokenId: number): void {
    this.#counts.set(tokenId, (this.#counts.get(tokenId) ?? 0) + 1);
    if (this.#window === Infinity) return;
    this.#added.push(tokenId);
    const leaving = this.#added.at(-1 - this.#window);
    if (leaving === undefined) return;
    const left = this.#counts.get(leaving)! - 1;
    if (left === 0) this.#counts.delete(leaving);
    else this.#counts.set(leaving, left);
  }

  ids(): Iterable<number> {
    return this.#counts.keys();
  }
}
