import type { CodePoints, Grammar, GrammarNode } from "../../engine/grammar/grammar.ts";

/** A text as it stands. */
export function text(content: string): GrammarNode {
  return { kind: "text", text: content };
}

/** One character of a set. */
export function characters(codePoints: CodePoints): GrammarNode {
  return codePoints.length === 0 ? nothing : { kind: "characters", codePoints };
}

/** No text at all, not even the empty one. */
export const nothing: GrammarNode = { kind: "choice", alternatives: [] };

export function isNothing(node: GrammarNode): boolean {
  return node.kind === "choice" && node.alternatives.length === 0;
}

/** One after the other. */
export function sequence(...parts: readonly (GrammarNode | string)[]): GrammarNode {
  return sequenceOf(parts.map((part) => (typeof part === "string" ? text(part) : part)));
}

export function sequenceOf(parts: readonly GrammarNode[]): GrammarNode {
  if (parts.some(isNothing)) return nothing;
  return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
}

/** The one or the other. */
export function choice(alternatives: readonly GrammarNode[]): GrammarNode {
  const possible = alternatives.filter((node) => !isNothing(node));
  return possible.length === 1 ? possible[0]! : { kind: "choice", alternatives: possible };
}

/** @param max Infinity for any number */
export function repeated(item: GrammarNode, min: number, max: number): GrammarNode {
  if (isNothing(item)) return min === 0 ? text("") : nothing;
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
  readonly #rules = new Map<string, GrammarNode>();
  #count = 0;

  /** @param prefix of the names, where the rules of another set will be beside them */
  constructor(prefix = "r") {
    this.#prefix = prefix;
  }

  get size(): number {
    return this.#count;
  }

  /** A rule that is defined later, since it mentions itself. */
  reserve(): { readonly rule: GrammarNode; readonly define: (node: GrammarNode) => void } {
    const name = `${this.#prefix}${this.#count++}`;
    return { rule: { kind: "rule", name }, define: (node) => this.#rules.set(name, node) };
  }

  /** Rules that were reserved from a number on, as far as they are defined. */
  from(first: number): Map<string, GrammarNode> {
    const { length } = this.#prefix;
    return new Map([...this.#rules].filter(([name]) => Number(name.slice(length)) >= first));
  }

  redefine(name: string, node: GrammarNode): void {
    this.#rules.set(name, node);
  }

  /** Shared by all who mention it. */
  add(node: GrammarNode): GrammarNode {
    const { rule, define } = this.reserve();
    define(node);
    return rule;
  }

  grammar(root: GrammarNode): Grammar {
    return toGrammar(root, Object.fromEntries(this.#rules));
  }
}

export function toGrammar(root: GrammarNode, rules: Grammar["rules"] = {}): Grammar {
  return { root, rules };
}
