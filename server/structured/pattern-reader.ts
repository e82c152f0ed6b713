import { GrammarTextError } from "./grammar-text-error.ts";

/** The characters of a pattern, one after the other. */
export class PatternReader {
  readonly characters: readonly string[];
  position = 0;

  constructor(pattern: string) {
    this.characters = [...pattern];
  }

  peek(): string | undefined {
    return this.characters[this.position];
  }

  next(): string {
    return this.characters[this.position++] ?? this.mistake("an end in the middle");
  }

  take(character: string): boolean {
    if (this.peek() !== character) return false;
    this.position++;
    return true;
  }

  /** @throws GrammarTextError */
  fail(what: string, isMistake = false): never {
    const shown = what.length > 60 ? `${what.slice(0, 60)}…` : what;
    const message = `the pattern has ${shown}, which cannot be enforced`;
    throw new GrammarTextError(message, "", isMistake);
  }

  /** @throws GrammarTextError */
  mistake(what: string): never {
    this.fail(what, true);
  }
}
