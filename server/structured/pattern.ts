import type { CodePoints, GrammarNode } from "../../engine/grammar/grammar.ts";
import { GrammarTextError } from "./grammar-text-error.ts";
import { characters, choice, repeated, sequenceOf } from "./nodes.ts";
import { parsePattern, type PatternNode } from "./pattern-parser.ts";

/**
 * A regular expression of JavaScript as a grammar, for a text that it matches from the first to the last character: anchors
 * at its ends add nothing.
 * @throws GrammarTextError when it is none, or needs more than a grammar has
 */
export function patternGrammar(pattern: string): GrammarNode {
  return patternNode(parsePattern(pattern, false), characters);
}

/**
 * @param write - makes one character of a set
 * @throws GrammarTextError when the pattern looks ahead
 */
export function patternNode(
  node: PatternNode,
  write: (set: CodePoints) => GrammarNode,
): GrammarNode {
  switch (node.kind) {
    case "characters":
      return write(node.codePoints);
    case "sequence":
      return sequenceOf(node.parts.map((part) => patternNode(part, write)));
    case "choice":
      return choice(node.alternatives.map((part) => patternNode(part, write)));
    case "repeat":
      return repeated(patternNode(node.item, write), node.min, node.max);
    case "ahead":
      throw new GrammarTextError("the pattern has a look-ahead, which cannot be enforced");
  }
}

export function looksAhead(node: PatternNode): boolean {
  switch (node.kind) {
    case "characters":
      return false;
    case "sequence":
      return node.parts.some(looksAhead);
    case "choice":
      return node.alternatives.some(looksAhead);
    case "repeat":
      return looksAhead(node.item);
    case "ahead":
      return true;
  }
}
