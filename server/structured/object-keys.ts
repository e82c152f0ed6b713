import type { GrammarNode } from "../../engine/grammar/grammar.ts";
import { allCharacters, difference } from "./code-points.ts";
import { jsonCharacter } from "./json-text.ts";
import { choice, repeated, sequence, text } from "./nodes.ts";

interface Names {
  readonly next: Map<string, Names>;
  isName: boolean;
}

/** A JSON string that is none of some names: a key that is there twice would hide the first. */
export function keyExcept(names: readonly string[]): GrammarNode {
  const root: Names = { next: new Map(), isName: false };
  for (const name of names) {
    let node = root;
    for (const character of name) {
      let next = node.next.get(character);
      if (next === undefined) node.next.set(character, (next = { next: new Map(), isName: false }));
      node = next;
    }
    node.isName = true;
  }
  return sequence('"', restOf(root));
}

function restOf({ next, isName }: Names): GrammarNode {
  const taken = [...next.keys()].map((character) => character.codePointAt(0)!);
  const others = difference(
    allCharacters,
    taken.map((codePoint) => [codePoint, codePoint]),
  );
  const anything = sequence(repeated(jsonCharacter(allCharacters), 0, Infinity), '"');
  return choice([
    sequence(jsonCharacter(others), anything),
    ...[...next].map(([character, names]) =>
      sequence(JSON.stringify(character).slice(1, -1), restOf(names)),
    ),
    ...(isName ? [] : [text('"')]),
  ]);
}
