import type { GrammarNode } from "../../engine/grammar/grammar.ts";
import { choice, listOf, optional, repeated, sequence, text } from "./nodes.ts";
import type { RuleSet } from "./nodes.ts";

export interface Entry {
  readonly node: GrammarNode;
  readonly isRequired: boolean;
}

/**
 * An object with these entries in order.
 * @param other what there may be besides, any number of times; null for nothing
 */
export function objectOf(
  entries: readonly Entry[],
  other: GrammarNode | null,
  rules: RuleSet,
): GrammarNode {
  // From the last to the first: what may follow when there is an entry before, and what when there is none.
  let rest = other === null ? text("") : repeated(sequence(", ", other), 0, Infinity);
  let first = [other === null ? text("") : listOf(other)];
  for (const { node, isRequired } of entries.toReversed()) {
    const here = sequence(node, rest);
    first = isRequired ? [here] : [here, ...first];
    const next = sequence(", ", node);
    rest = rules.add(sequence(isRequired ? next : optional(next), rest));
  }
  return sequence("{", choice(first), "}");
}

export interface Items {
  readonly prefix: readonly GrammarNode[];
  readonly item: GrammarNode;
  readonly min: number;
  readonly max: number;
}

/** The items of an array from one on, each with the comma before it but the first of all. */
export function itemsFrom(index: number, items: Items): GrammarNode {
  const { prefix, item, min, max } = items;
  if (index >= max) return text("");
  const comma = index === 0 ? "" : ", ";
  const own = prefix[index];
  if (own === undefined && index > 0) {
    return repeated(sequence(comma, item), Math.max(0, min - index), max - index);
  }
  const content = sequence(comma, own ?? item, itemsFrom(index + 1, items));
  return index < min ? content : optional(content);
}
