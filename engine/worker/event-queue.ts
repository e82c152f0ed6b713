/** Hands items from callbacks to one async iteration. */
export class EventQueue<Item> {
  readonly #items: Item[] = [];
  #error: Error | null = null;
  #ended = false;
  #wake = (): void => undefined;

  push(item: Item): void {
    this.#items.push(item);
    this.#wake();
  }

  /** Ends the iteration after the items already pushed. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Makes the iteration throw after the items already pushed; nothing happens once it has ended. */
  fail(error: Error): void {
    if (!this.#ended) this.#error ??= error;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, void> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        yield item;
      } else if (this.#error) {
        throw this.#error;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }
}
