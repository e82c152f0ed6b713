import { allCharacters, difference, union } from "./code-points.ts";
import type { CodePoints, GrammarNode } from "../../engine/grammar/grammar.ts";
import { GrammarTextError } from "./grammar-text-error.ts";
import { jsonCharacter } from "./json-text.ts";
import { characters, choice, repeated } from "./nodes.ts";

export interface PatternOptions {
  /** The text is inside a JSON string. */
  readonly isInJson: boolean;
}

/**
 * A regular expression of JavaScript as a grammar, for a text that it matches from the first to the last character: anchors
 * at its ends add nothing.
 * @throws GrammarTextError when it is none, or needs more than a grammar has
 */
export function patternGrammar(pattern: string, { isInJson }: PatternOptions): GrammarNode {
  return new PatternParser(pattern, isInJson ? jsonCharacter : characters).parse();
}

const decimalDigits: CodePoints = [[0x30, 0x39]];
const wordCharacters: CodePoints = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const spaces: CodePoints = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const lineEnds: CodePoints = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const shorthands: Readonly<Record<string, CodePoints>> = {
  d: decimalDigits,
  D: difference(allCharacters, decimalDigits),
  w: wordCharacters,
  W: difference(allCharacters, wordCharacters),
  s: spaces,
  S: difference(allCharacters, spaces),
};
const controls: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, "0": 0 };

/** Larger ones are mistakes. */
const maxCount = 1000;

class PatternParser {
  readonly #characters: readonly string[];
  readonly #toGrammar: (set: CodePoints) => GrammarNode;
  #position = 0;
  #depth = 0;

  constructor(pattern: string, toGrammar: (set: CodePoints) => GrammarNode) {
    this.#characters = [...pattern];
    this.#toGrammar = toGrammar;
  }

  parse(): GrammarNode {
    const grammar = this.#alternatives();
    if (this.#position < this.#characters.length) this.#fail("an unmatched )");
    return grammar;
  }

  #alternatives(): GrammarNode {
    const alternatives = [this.#terms()];
    while (this.#take("|")) alternatives.push(this.#terms());
    return choice(alternatives);
  }

  #terms(): GrammarNode {
    const terms: GrammarNode[] = [];
    if (this.#depth === 0) this.#take("^");
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")";) {
      if (next === "$" && this.#depth === 0 && this.#isAtEnd(this.#position + 1)) {
        this.#position++;
        break;
      }
      terms.push(this.#quantified(this.#atom()));
      next = this.#peek();
    }
    return terms.length === 1 ? terms[0]! : { kind: "sequence", parts: terms };
  }

  #isAtEnd(position: number): boolean {
    const next = this.#characters[position];
    return next === undefined || next === "|";
  }

  #atom(): GrammarNode {
    const character = this.#characters[this.#position++]!;
    switch (character) {
      case "(":
        return this.#group();
      case "[":
        return this.#toGrammar(this.#set());
      case ".":
        return this.#toGrammar(difference(allCharacters, lineEnds));
      case "\\":
        return this.#toGrammar(this.#escape());
      case "^":
      case "$":
        return this.#fail(`${character} in the middle`);
      case "*":
      case "+":
      case "?":
      case "{":
        return this.#fail(`nothing to repeat before ${character}`);
      default:
        return this.#toGrammar(single(character.codePointAt(0)!));
    }
  }

  #group(): GrammarNode {
    if (this.#take("?")) {
      if (this.#take("<")) {
        if (["=", "!"].includes(this.#peek() ?? "")) this.#fail("a look-around");
        while (!this.#take(">")) this.#next();
      } else if (!this.#take(":")) this.#fail("a look-around");
    }
    if (++this.#depth > 50) this.#fail("too many groups in each other");
    const grammar = this.#alternatives();
    this.#depth--;
    if (!this.#take(")")) this.#fail("an unmatched (");
    return grammar;
  }

  #quantified(atom: GrammarNode): GrammarNode {
    const bounds = this.#quantifier();
    if (bounds === undefined) return atom;
    // Lazy or not, the texts are the same.
    this.#take("?");
    if (this.#quantifier() !== undefined) this.#fail("two quantifiers in a row");
    return repeated(atom, ...bounds);
  }

  #quantifier(): [min: number, max: number] | undefined {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    if (!this.#take("{")) return undefined;
    let text = "";
    for (let next = this.#next(); next !== "}"; next = this.#next()) text += next;
    const [, min, comma, max] = /^(\d{1,9})(,?)(\d{0,9})$/.exec(text) ?? this.#fail(`{${text}}`);
    const low = Number(min);
    const high = comma === "" ? low : max === "" ? Infinity : Number(max);
    if (low > high) this.#fail(`{${text}}`);
    if (low > maxCount || (high > maxCount && high < Infinity)) {
      this.#fail(`a count above ${maxCount}`);
    }
    return [low, high];
  }

  /** After `[`. */
  #set(): CodePoints {
    const isNegated = this.#take("^");
    const sets: CodePoints[] = [];
    while (!this.#take("]")) {
      const first = this.#setMember();
      const isRange = this.#peek() === "-" && this.#characters[this.#position + 1] !== "]";
      if (!isRange) {
        sets.push(first);
        continue;
      }
      this.#next();
      const last = this.#setMember();
      const [from, to] = [codePointOf(first), codePointOf(last)];
      if (from === undefined || to === undefined || from > to) this.#fail("a range that is none");
      else sets.push(difference([[from, to]], [[0xd800, 0xdfff]]));
    }
    const set = union(sets);
    return isNegated ? difference(allCharacters, set) : set;
  }

  #setMember(): CodePoints {
    const character = this.#next();
    if (character !== "\\") return single(character.codePointAt(0)!);
    if (this.#take("b")) return single(8);
    if (this.#take("-")) return single(0x2d);
    return this.#escape();
  }

  /** After `\`. */
  #escape(): CodePoints {
    const character = this.#next();
    const set = shorthands[character];
    if (set !== undefined) return set;
    const control = controls[character];
    if (control !== undefined) return single(control);
    if (character === "x") return single(this.#hex(2));
    if (character === "u") {
      if (!this.#take("{")) return single(this.#hex(4));
      let text = "";
      for (let next = this.#next(); next !== "}"; next = this.#next()) text += next;
      const value = Number.parseInt(text, 16);
      return value <= 0x10ffff ? single(value) : this.#fail(`\\u{${text}}`);
    }
    if (/[A-Za-z0-9]/.test(character)) this.#fail(`\\${character}`);
    return single(character.codePointAt(0)!);
  }

  #hex(length: number): number {
    const text = Array.from({ length }, () => this.#next()).join("");
    return /^[0-9a-fA-F]+$/.test(text)
      ? Number.parseInt(text, 16)
      : this.#fail(`\\x or \\u ${text}`);
  }

  #peek(): string | undefined {
    return this.#characters[this.#position];
  }

  #next(): string {
    return this.#characters[this.#position++] ?? this.#fail("an end in the middle");
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#position++;
    return true;
  }

  #fail(what: string): never {
    const shown = what.length > 60 ? `${what.slice(0, 60)}…` : what;
    throw new GrammarTextError(`the pattern has ${shown}, which cannot be enforced`);
  }
}

function single(codePoint: number): CodePoints {
  return difference([[codePoint, codePoint]], [[0xd800, 0xdfff]]);
}

function codePointOf(set: CodePoints): number | undefined {
  const [range, ...more] = set;
  return range !== undefined && more.length === 0 && range[0] === range[1] ? range[0] : undefined;
}
