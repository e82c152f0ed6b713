import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import type { PatternNode } from "../pattern-parser.ts";

/** A grammar without rules as a pattern. */
export function patternOf(node: GrammarNode): PatternNode {
  switch (node.kind) {
    case "text": {
      const parts = Array.from(node.text, (character): PatternNode => {
        const codePoint = character.codePointAt(0)!;
        return { kind: "characters", codePoints: [[codePoint, codePoint]] };
      });
      return { kind: "sequence", parts };
    }
    case "characters":
      return node;
    case "sequence":
      return { kind: "sequence", parts: node.parts.map(patternOf) };
    case "choice":
      return { kind: "choice", alternatives: node.alternatives.map(patternOf) };
    case "repeat":
      return { ...node, item: patternOf(node.item) };
    case "rule":
    case "triggered":
      throw new Error(`A pattern has no ${node.kind}.`);
  }
}
