/**
 * Ends a text before the stop string that is complete first (of several that are complete at the same
 * place, before the longest), however the text is split. Text that may be the start of a stop string
 * is held back, all other text passes at once. Takes memory and time linear in the stop strings, and
 * for each character of the text amortised time linear in their number.
 */
export class StopStrings {
  readonly #isIncluded: boolean;
  readonly #matchers: readonly StopMatcher[];
  #stopped = false;

  /**
   * Empty strings are ignored.
   * @param isIncluded the text ends behind the stop string instead
   */
  constructor(stop: readonly string[], isIncluded = false) {
    this.#isIncluded = isIncluded;
    this.#matchers = stop.filter((text) => text !== "").map((text) => new StopMatcher(text));
  }

  /** Text that is certainly part of the answer. After `stopped` everything is swallowed. */
  push(text: string): { text: string; stopped: boolean } {
    if (this.#stopped) return { text: "", stopped: true };
    const held = this.#held();
    for (let i = 0; i < text.length; i++) {
      const matchLength = this.#step(text.charCodeAt(i));
      if (matchLength === 0) continue;
      this.#stopped = true;
      this.#reset();
      const end = this.#isIncluded ? i + 1 : i + 1 - matchLength;
      return { text: leading(held, text, end), stopped: true };
    }
    const end = text.length - this.#held().length;
    return { text: leading(held, text, end), stopped: false };
  }

  /** The text that was held back, at the end of the sequence. */
  flush(): string {
    const held = this.#held();
    this.#reset();
    return held;
  }

  /** Length of the longest stop string that the unit completes; 0 for none. */
  #step(unit: number): number {
    let matchLength = 0;
    for (const matcher of this.#matchers) {
      if (matcher.step(unit)) matchLength = Math.max(matchLength, matcher.text.length);
    }
    return matchLength;
  }

  /** The longest end of the text so far that a stop string begins with. */
  #held(): string {
    let longest: StopMatcher | null = null;
    for (const matcher of this.#matchers) {
      if (matcher.depth > (longest?.depth ?? 0)) longest = matcher;
    }
    return longest === null ? "" : longest.text.slice(0, longest.depth);
  }

  #reset(): void {
    for (const matcher of this.#matchers) matcher.depth = 0;
  }
}

/** How much of one stop string the text so far ends with (Knuth, Morris and Pratt), in UTF-16 code units. */
class StopMatcher {
  readonly text: string;
  depth = 0;
  /** For each `i`, the length of the longest proper end of the first `i + 1` units that they begin with too. */
  readonly #borders: Uint32Array;

  constructor(text: string) {
    this.text = text;
    this.#borders = new Uint32Array(text.length);
    for (let i = 1; i < text.length; i++) {
      this.step(text.charCodeAt(i));
      this.#borders[i] = this.depth;
    }
    this.depth = 0;
  }

  /** Must not be called again once it is true. */
  step(unit: number): boolean {
    const { text } = this;
    while (this.depth > 0 && text.charCodeAt(this.depth) !== unit) {
      this.depth = this.#borders[this.depth - 1]!;
    }
    if (text.charCodeAt(this.depth) === unit) this.depth++;
    return this.depth === text.length;
  }
}

/** The held text and then `text`, up to `end` in `text`; a negative `end` cuts held text. */
function leading(held: string, text: string, end: number): string {
  return end >= 0 ? held + text.slice(0, end) : held.slice(0, Math.max(0, held.length + end));
}
