import type { CodePoints, GrammarNode } from "../../engine/grammar/grammar.ts";
import { allCharacters, difference, union } from "./code-points.ts";
import { characters, choice, repeated, type RuleSet, sequence, text } from "./nodes.ts";

/** A text that begins like this goes on in a certain way. */
export interface Guard {
  readonly start: string;
  readonly rest: GrammarNode;
}

const blanks: CodePoints = [
  [0x09, 0x0a],
  [0x0d, 0x0d],
  [0x20, 0x20],
];

/**
 * Any text, but for those that begin like a guard, with or without blanks before it: they go on as that says. No guard
 * begins with a blank or like another.
 */
export function guardedText(guards: readonly Guard[], rules: RuleSet): GrammarNode {
  const anything = rules.add(repeated(characters(allCharacters), 0, Infinity));
  const behind = (open: readonly Guard[], passed: CodePoints): GrammarNode => {
    const reached = open.find(({ start }) => start === "");
    if (reached !== undefined) return reached.rest;
    const next = new Set(open.map(({ start }) => start.codePointAt(0)!));
    const others = difference(allCharacters, union([toCodePoints([...next]), passed]));
    return choice([
      text(""),
      sequence(characters(others), anything),
      ...Array.from(next, (codePoint) => {
        const character = String.fromCodePoint(codePoint);
        return sequence(character, behind(withoutFirst(character, open), []));
      }),
    ]);
  };
  return sequence(repeated(characters(blanks), 0, Infinity), behind(guards, blanks));
}

/** What is left of the guards that begin with a character. */
function withoutFirst(character: string, guards: readonly Guard[]): Guard[] {
  return guards
    .filter(({ start }) => start.startsWith(character))
    .map(({ start, rest }) => ({ start: start.slice(character.length), rest }));
}

function toCodePoints(codePoints: readonly number[]): CodePoints {
  return union(codePoints.map((codePoint): CodePoints => [[codePoint, codePoint]]));
}
