import type { CodePoints, Grammar, GrammarNode } from "../../engine/grammar/grammar.ts";

/** A text as it stands. */
export function text(content: string): GrammarNode {
  return { kind: "text", text: content };
}

/** One character of a set. */
export function characters(codePoints: CodePoints): GrammarNode {
  return { kind: "characters", codePoints };
}

/** One after the other. */
export function sequence(...parts: readonly (GrammarNode | string)[]): GrammarNode {
  const nodes = parts.map((part) => (typeof part === "string" ? text(part) : part));
  return nodes.length === 1 ? nodes[0]! : { kind: "sequence", parts: nodes };
}

/** The one or the other. */
export function choice(alternatives: readonly GrammarNode[]): GrammarNode {
  return alternatives.length === 1 ? alternatives[0]! : { kind: "choice", alternatives };
}

/** @param max Infinity for any number */
export function repeated(item: GrammarNode, min: number, max: number): GrammarNode {
  return min === 1 && max === 1 ? item : { kind: "repeat", item, min, max };
}

export function optional(item: GrammarNode): GrammarNode {
  return repeated(item, 0, 1);
}

/** Items with a comma and a blank between them. */
export function listOf(item: GrammarNode): GrammarNode {
  return optional(sequence(item, repeated(sequence(", ", item), 0, Infinity)));
}

export const digit = characters([[0x30, 0x39]]);

export function digits(min: number, max = min): GrammarNode {
  return repeated(digit, min, max);
}

/** Rules under construction. */
export class RuleSet {
  readonly #prefix: string;
  readonly #rules: Record<string, GrammarNode> = {};
  #count = 0;

  /** @param prefix of the names, where the rules of another set will be beside them */
  constructor(prefix = "r") {
    this.#prefix = prefix;
  }

  /** A rule that is defined later, since it mentions itself. */
  reserve(): { readonly rule: GrammarNode; readonly define: (node: GrammarNode) => void } {
    const name = `${this.#prefix}${this.#count++}`;
    return { rule: { kind: "rule", name }, define: (node) => (this.#rules[name] = node) };
  }

  /** Shared by all who mention it. */
  add(node: GrammarNode): GrammarNode {
    const { rule, define } = this.reserve();
    define(node);
    return rule;
  }

  grammar(root: GrammarNode): Grammar {
    return toGrammar(root, this.#rules);
  }
}

export function toGrammar(root: GrammarNode, rules: Grammar["rules"] = {}): Grammar {
  return { root, rules };
}
