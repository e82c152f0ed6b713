import type { CodePoints, GrammarNode } from "../../engine/grammar/grammar.ts";
import { allCharacters, difference } from "./code-points.ts";
import { characters, choice, repeated, type RuleSet, sequence, text } from "./nodes.ts";

/** A text that begins like this goes on in a certain way. */
export interface Guard {
  readonly start: string;
  readonly rest: GrammarNode;
}

/** Any text, but for those that begin like a guard: they go on as that says. None may begin like another. */
export function guardedText(guards: readonly Guard[], rules: RuleSet): GrammarNode {
  const anything = rules.add(repeated(characters(allCharacters), 0, Infinity));
  const behind = (open: readonly Guard[]): GrammarNode => {
    const reached = open.find(({ start }) => start === "");
    if (reached !== undefined) return reached.rest;
    const next = new Set(open.map(({ start }) => start.codePointAt(0)!));
    const others = difference(allCharacters, toCodePoints([...next]));
    return choice([
      text(""),
      sequence(characters(others), anything),
      ...Array.from(next, (codePoint) => {
        const character = String.fromCodePoint(codePoint);
        return sequence(character, behind(withoutFirst(character, open)));
      }),
    ]);
  };
  return behind(guards);
}

/** What is left of the guards that begin with a character. */
function withoutFirst(character: string, guards: readonly Guard[]): Guard[] {
  return guards
    .filter(({ start }) => start.startsWith(character))
    .map(({ start, rest }) => ({ start: start.slice(character.length), rest }));
}

function toCodePoints(codePoints: readonly number[]): CodePoints {
  return codePoints.toSorted((a, b) => a - b).map((codePoint) => [codePoint, codePoint]);
}
