import type { Grammar, GrammarNode } from "../../engine/grammar/grammar.ts";

/**
 * Whether texts belong to a grammar, found as its definition reads: all places where each node may end. For grammars whose
 * rules do not begin with themselves.
 */
export function plainRecogniser(grammar: Grammar): (text: string) => boolean {
  return (text) => {
    const bytes = Buffer.from(text);
    const known = new Map<GrammarNode, Map<number, ReadonlySet<number>>>();
    const ends = (node: GrammarNode, start: number): ReadonlySet<number> => {
      const ofNode = known.get(node) ?? new Map<number, ReadonlySet<number>>();
      known.set(node, ofNode);
      const found = ofNode.get(start) ?? endsOf(node, start);
      ofNode.set(start, found);
      return found;
    };
    const endsOf = (node: GrammarNode, start: number): ReadonlySet<number> => {
      switch (node.kind) {
        case "text": {
          const content = Buffer.from(node.text);
          const end = start + content.length;
          return new Set(bytes.subarray(start, end).equals(content) ? [end] : []);
        }
        case "characters": {
          const [character] = bytes.subarray(start).toString();
          const codePoint = character?.codePointAt(0) ?? -1;
          const isIn = node.codePoints.some(([a, b]) => a <= codePoint && codePoint <= b);
          return new Set(isIn ? [start + Buffer.byteLength(character!)] : []);
        }
        case "sequence":
          return node.parts.reduce<ReadonlySet<number>>(
            (starts, part) => new Set([...starts].flatMap((place) => [...ends(part, place)])),
            new Set([start]),
          );
        case "choice":
          return new Set(node.alternatives.flatMap((part) => [...ends(part, start)]));
        case "repeat": {
          const found = new Set<number>();
          let places: ReadonlySet<number> = new Set([start]);
          // With more items than bytes some are empty, and as many more may be.
          const most = Math.min(node.max, node.min + bytes.length + 1);
          for (let count = 0; count <= most; count++) {
            if (count >= node.min) for (const place of places) found.add(place);
            places = new Set([...places].flatMap((place) => [...ends(node.item, place)]));
          }
          return found;
        }
        case "rule":
          return ends(grammar.rules[node.name]!, start);
        case "triggered":
          throw new Error("not for triggers");
      }
    };
    return ends(grammar.root, 0).has(bytes.length);
  };
}
