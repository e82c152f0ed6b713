import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import { allCharacters, difference } from "../code-points.ts";
import { jsonCharacter } from "../json-text.ts";
import { choice, repeated, type RuleSet, sequence, text } from "../nodes.ts";

interface Names {
  readonly next: Map<string, Names>;
  isName: boolean;
}

/** A JSON string that is none of some names: a key that is there twice would hide the first. */
export function keyExcept(names: readonly string[], rules: RuleSet): GrammarNode {
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
  const character = rules.add(jsonCharacter(allCharacters));
  const anything = rules.add(sequence(repeated(character, 0, Infinity), '"'));
  return sequence('"', restOf(root, anything));
}

function restOf({ next, isName }: Names, anything: GrammarNode): GrammarNode {
  const taken = [...next.keys()]
    .map((character) => character.codePointAt(0)!)
    .sort((a, b) => a - b);
  const others = difference(
    allCharacters,
    taken.map((codePoint) => [codePoint, codePoint]),
  );
  return choice([
    sequence(jsonCharacter(others), anything),
    ...[...next].map(([character, names]) =>
      sequence(JSON.stringify(character).slice(1, -1), restOf(names, anything)),
    ),
    ...(isName ? [] : [text('"')]),
  ]);
}
