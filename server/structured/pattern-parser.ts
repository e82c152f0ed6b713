import { allCharacters, difference, union } from "./code-points.ts";
import type { CodePoints } from "../../engine/grammar/grammar.ts";
import { GrammarTextError } from "./grammar-text-error.ts";

/** What a regular expression says: texts as `GrammarNode` has them, and what must or must not follow. */
export type PatternNode =
  | { readonly kind: "characters"; readonly codePoints: CodePoints }
  | { readonly kind: "sequence"; readonly parts: readonly PatternNode[] }
  | { readonly kind: "choice"; readonly alternatives: readonly PatternNode[] }
  | {
      readonly kind: "repeat";
      readonly item: PatternNode;
      readonly min: number;
      readonly max: number;
    }
  /** The rest of the text, to its end, is in the content, or is not. */
  | { readonly kind: "ahead"; readonly isNegative: boolean; readonly content: PatternNode };

/**
 * Reads a regular expression of JavaScript.
 * @param isSearch - whether a match may begin and end anywhere in the text, or must be all of it
 * @throws GrammarTextError when it is none, or cannot be said with `PatternNode`s
 */
export function parsePattern(pattern: string, isSearch: boolean): PatternNode {
  return new PatternParser(pattern).parse(isSearch);
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

/** Where a part of a pattern stands. */
interface Place {
  /** Nothing of the text has been read. */
  readonly isFirst: boolean;
  /** A match need not begin where the text does. */
  readonly opensBefore: boolean;
  /** Nothing of the pattern follows. */
  readonly isLast: boolean;
  /** A match need not end where the text does. */
  readonly opensBehind: boolean;
}

const inTheMiddle: Place = {
  isFirst: false,
  opensBefore: false,
  isLast: false,
  opensBehind: false,
};

const anything: PatternNode = {
  kind: "repeat",
  item: { kind: "characters", codePoints: allCharacters },
  min: 0,
  max: Infinity,
};

class PatternParser {
  readonly #characters: readonly string[];
  /** Where each group ends. */
  readonly #ends: ReadonlyMap<number, number>;
  #position = 0;
  #depth = 0;

  constructor(pattern: string) {
    this.#characters = [...pattern];
    this.#ends = groupEnds(this.#characters);
  }

  parse(isSearch: boolean): PatternNode {
    const place = { isFirst: true, opensBefore: isSearch, isLast: true, opensBehind: isSearch };
    const node = this.#alternatives(place);
    if (this.#position < this.#characters.length) this.#mistake("an unmatched )");
    return node;
  }

  #alternatives(place: Place): PatternNode {
    const alternatives = [this.#terms(place)];
    while (this.#take("|")) alternatives.push(this.#terms(place));
    return alternatives.length === 1 ? alternatives[0]! : { kind: "choice", alternatives };
  }

  #terms(place: Place): PatternNode {
    const parts: PatternNode[] = [];
    let { isFirst, opensBefore, opensBehind } = place;
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")";) {
      if (next === "^" && isFirst) {
        this.#position++;
        opensBefore = false;
      } else if (next === "$" && place.isLast && this.#isEnd(this.#position + 1)) {
        this.#position++;
        opensBehind = false;
      } else if (this.#isAhead()) {
        parts.push(this.#ahead(isFirst && !opensBefore));
      } else if (next === "(") {
        const group = this.#groupPlace({ ...place, isFirst, opensBefore, opensBehind });
        if (group.isFirst) opensBefore = false;
        if (group.isLast) opensBehind = false;
        parts.push(this.#quantified(this.#group(group)));
        isFirst = false;
      } else {
        parts.push(this.#quantified(this.#atom()));
        isFirst = false;
      }
      next = this.#peek();
    }
    if (opensBefore) parts.unshift(anything);
    if (opensBehind) parts.push(anything);
    return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
  }

  /** Anchors inside a group at an end of the pattern are anchors of the pattern: it must say itself where it opens. */
  #groupPlace({ isFirst, opensBefore, isLast, opensBehind }: Place): Place {
    const end = this.#ends.get(this.#position) ?? this.#mistake("an unmatched (");
    const hasAnchor = (anchor: string): boolean =>
      this.#characters.slice(this.#position, end).includes(anchor);
    if (/[*+?{]/.test(this.#characters[end + 1] ?? "")) return inTheMiddle;
    const isAtStart = isFirst && hasAnchor("^");
    const isAtEnd = isLast && this.#isEnd(end + 1) && hasAnchor("$");
    return {
      isFirst: isAtStart,
      opensBefore: isAtStart && opensBefore,
      isLast: isAtEnd,
      opensBehind: isAtEnd && opensBehind,
    };
  }

  /** Of an alternative. */
  #isEnd(position: number): boolean {
    return ["|", ")", undefined].includes(this.#characters[position]);
  }

  #isAhead(): boolean {
    const [open, mark, kind] = this.#characters.slice(this.#position, this.#position + 3);
    return open === "(" && mark === "?" && (kind === "=" || kind === "!");
  }

  #ahead(isFirst: boolean): PatternNode {
    const isNegative = this.#characters[this.#position + 2] === "!";
    this.#position += 3;
    const content = this.#inGroup({ isFirst, opensBefore: false, isLast: true, opensBehind: true });
    if (this.#quantifier() !== undefined) this.#fail("a repeated look-ahead");
    return { kind: "ahead", isNegative, content };
  }

  #atom(): PatternNode {
    const character = this.#next();
    switch (character) {
      case "[":
        return { kind: "characters", codePoints: this.#set() };
      case ".":
        return { kind: "characters", codePoints: difference(allCharacters, lineEnds) };
      case "\\":
        return { kind: "characters", codePoints: this.#escape() };
      case "^":
      case "$":
        return this.#fail(`${character} in the middle`);
      case "*":
      case "+":
      case "?":
      case "{":
        return this.#mistake(`nothing to repeat before ${character}`);
      default:
        return { kind: "characters", codePoints: single(character.codePointAt(0)!) };
    }
  }

  /** At its `(`. */
  #group(place: Place): PatternNode {
    this.#position++;
    if (this.#take("?")) {
      // Python's names have a P before them.
      this.#take("P");
      if (this.#take("<")) {
        if (["=", "!"].includes(this.#peek() ?? "")) this.#fail("a look-behind");
        while (!this.#take(">")) this.#next();
      } else if (!this.#take(":")) this.#fail("a group of an unknown kind");
    }
    return this.#inGroup(place);
  }

  #inGroup(place: Place): PatternNode {
    if (++this.#depth > 50) this.#fail("too many groups in each other");
    const node = this.#alternatives(place);
    this.#depth--;
    if (!this.#take(")")) this.#mistake("an unmatched (");
    return node;
  }

  #quantified(atom: PatternNode): PatternNode {
    const bounds = this.#quantifier();
    if (bounds === undefined) return atom;
    // Lazy or not, the texts are the same.
    this.#take("?");
    if (this.#quantifier() !== undefined) this.#fail("two quantifiers in a row");
    const [min, max] = bounds;
    return { kind: "repeat", item: atom, min, max };
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
    if (low > high) this.#mistake(`{${text}}`);
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
      if (from === undefined || to === undefined || from > to)
        this.#mistake("a range that is none");
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
    return this.#characters[this.#position++] ?? this.#mistake("an end in the middle");
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#position++;
    return true;
  }

  #fail(what: string, isMistake = false): never {
    const shown = what.length > 60 ? `${what.slice(0, 60)}…` : what;
    const message = `the pattern has ${shown}, which cannot be enforced`;
    throw new GrammarTextError(message, "", isMistake);
  }

  #mistake(what: string): never {
    this.#fail(what, true);
  }
}

function single(codePoint: number): CodePoints {
  return difference([[codePoint, codePoint]], [[0xd800, 0xdfff]]);
}

function codePointOf(set: CodePoints): number | undefined {
  const [range, ...more] = set;
  return range !== undefined && more.length === 0 && range[0] === range[1] ? range[0] : undefined;
}

/** Where the groups that begin at some characters end. */
function groupEnds(characters: readonly string[]): ReadonlyMap<number, number> {
  const ends = new Map<number, number>();
  const open: number[] = [];
  let isInSet = false;
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i];
    if (character === "\\") i++;
    else if (isInSet) isInSet = character !== "]";
    else if (character === "[") isInSet = true;
    else if (character === "(") open.push(i);
    else if (character === ")") {
      const start = open.pop();
      if (start !== undefined) ends.set(start, i);
    }
  }
  return ends;
}
