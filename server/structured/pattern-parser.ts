import { allCharacters } from "./code-points.ts";
import type { CodePoints } from "../../engine/grammar/grammar.ts";
import { anyInLine, readEscape, readSet, single } from "./pattern-characters.ts";
import { PatternReader } from "./pattern-reader.ts";

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
  readonly #reader: PatternReader;
  /** Where each group ends. */
  readonly #ends: ReadonlyMap<number, number>;
  #depth = 0;

  constructor(pattern: string) {
    this.#reader = new PatternReader(pattern);
    this.#ends = groupEnds(this.#reader.characters);
  }

  parse(isSearch: boolean): PatternNode {
    const place = { isFirst: true, opensBefore: isSearch, isLast: true, opensBehind: isSearch };
    const node = this.#alternatives(place);
    if (this.#reader.position < this.#reader.characters.length)
      this.#reader.mistake("an unmatched )");
    return node;
  }

  #alternatives(place: Place): PatternNode {
    const alternatives = [this.#terms(place)];
    while (this.#reader.take("|")) alternatives.push(this.#terms(place));
    return alternatives.length === 1 ? alternatives[0]! : { kind: "choice", alternatives };
  }

  #terms(place: Place): PatternNode {
    const parts: PatternNode[] = [];
    let { isFirst, opensBefore, opensBehind } = place;
    for (let next = this.#reader.peek(); next !== undefined && next !== "|" && next !== ")";) {
      if (next === "^" && isFirst) {
        this.#reader.position++;
        opensBefore = false;
      } else if (next === "$" && place.isLast && this.#isEnd(this.#reader.position + 1)) {
        this.#reader.position++;
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
      next = this.#reader.peek();
    }
    if (opensBefore) parts.unshift(anything);
    if (opensBehind) parts.push(anything);
    return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
  }

  /** Anchors inside a group at an end of the pattern are anchors of the pattern: it must say itself where it opens. */
  #groupPlace({ isFirst, opensBefore, isLast, opensBehind }: Place): Place {
    const end = this.#ends.get(this.#reader.position) ?? this.#reader.mistake("an unmatched (");
    const hasAnchor = (anchor: string): boolean =>
      this.#reader.characters.slice(this.#reader.position, end).includes(anchor);
    if (/[*+?{]/.test(this.#reader.characters[end + 1] ?? "")) return inTheMiddle;
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
    return ["|", ")", undefined].includes(this.#reader.characters[position]);
  }

  #isAhead(): boolean {
    const [open, mark, kind] = this.#reader.characters.slice(
      this.#reader.position,
      this.#reader.position + 3,
    );
    return open === "(" && mark === "?" && (kind === "=" || kind === "!");
  }

  #ahead(isFirst: boolean): PatternNode {
    const isNegative = this.#reader.characters[this.#reader.position + 2] === "!";
    this.#reader.position += 3;
    const content = this.#inGroup({ isFirst, opensBefore: false, isLast: true, opensBehind: true });
    if (this.#quantifier() !== undefined) this.#reader.fail("a repeated look-ahead");
    return { kind: "ahead", isNegative, content };
  }

  #atom(): PatternNode {
    const character = this.#reader.next();
    switch (character) {
      case "[":
        return { kind: "characters", codePoints: readSet(this.#reader) };
      case ".":
        return { kind: "characters", codePoints: anyInLine };
      case "\\":
        return { kind: "characters", codePoints: readEscape(this.#reader) };
      case "^":
      case "$":
        return this.#reader.fail(`${character} in the middle`);
      case "*":
      case "+":
      case "?":
      case "{":
        return this.#reader.mistake(`nothing to repeat before ${character}`);
      default:
        return { kind: "characters", codePoints: single(character.codePointAt(0)!) };
    }
  }

  /** At its `(`. */
  #group(place: Place): PatternNode {
    this.#reader.position++;
    if (this.#reader.take("?")) {
      // Python's names have a P before them.
      this.#reader.take("P");
      if (this.#reader.take("<")) {
        if (["=", "!"].includes(this.#reader.peek() ?? "")) this.#reader.fail("a look-behind");
        while (!this.#reader.take(">")) this.#reader.next();
      } else if (!this.#reader.take(":")) this.#reader.fail("a group of an unknown kind");
    }
    return this.#inGroup(place);
  }

  #inGroup(place: Place): PatternNode {
    if (++this.#depth > 50) this.#reader.fail("too many groups in each other");
    const node = this.#alternatives(place);
    this.#depth--;
    if (!this.#reader.take(")")) this.#reader.mistake("an unmatched (");
    return node;
  }

  #quantified(atom: PatternNode): PatternNode {
    const bounds = this.#quantifier();
    if (bounds === undefined) return atom;
    // Lazy or not, the texts are the same.
    this.#reader.take("?");
    if (this.#quantifier() !== undefined) this.#reader.fail("two quantifiers in a row");
    const [min, max] = bounds;
    return { kind: "repeat", item: atom, min, max };
  }

  #quantifier(): [min: number, max: number] | undefined {
    if (this.#reader.take("*")) return [0, Infinity];
    if (this.#reader.take("+")) return [1, Infinity];
    if (this.#reader.take("?")) return [0, 1];
    if (!this.#reader.take("{")) return undefined;
    let text = "";
    for (let next = this.#reader.next(); next !== "}"; next = this.#reader.next()) text += next;
    const [, min, comma, max] =
      /^(\d{1,9})(,?)(\d{0,9})$/.exec(text) ?? this.#reader.fail(`{${text}}`);
    const low = Number(min);
    const high = comma === "" ? low : max === "" ? Infinity : Number(max);
    if (low > high) this.#reader.mistake(`{${text}}`);
    if (low > maxCount || (high > maxCount && high < Infinity)) {
      this.#reader.fail(`a count above ${maxCount}`);
    }
    return [low, high];
  }
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
