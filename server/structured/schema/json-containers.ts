import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import { choice, nothing, optional, repeated, type RuleSet, sequence, text } from "../nodes.ts";

export interface Entry {
  readonly node: GrammarNode;
  readonly isRequired: boolean;
}

export interface ObjectOptions {
  /** Number of entries and others. */
  readonly min: number;
  /** Infinity for any number */
  readonly max: number;
  readonly rules: RuleSet;
}

/**
 * An object with these entries in order.
 * @param other what there may be besides, any number of times; null for nothing
 */
export function objectOf(
  entries: readonly Entry[],
  other: GrammarNode | null,
  { min, max, rules }: ObjectOptions,
): GrammarNode {
  /** Counts from there on are not told apart. */
  const most = max < Infinity ? max : Math.max(1, min);
  const counts = Array.from({ length: most + 1 }, (_, count) => count);
  /** By the number of entries before: what may follow. */
  let rest = counts.map((count) => othersFrom(count, other, min, max));
  for (const { node, isRequired } of entries.toReversed()) {
    const next = rest;
    rest = counts.map((count) => {
      const following = next[Math.min(count + 1, most)]!;
      const taken = count >= max ? nothing : sequence(count === 0 ? "" : ", ", node, following);
      return rules.add(isRequired ? taken : choice([taken, next[count]!]));
    });
  }
  return sequence("{", rest[0]!, "}");
}

function othersFrom(
  count: number,
  other: GrammarNode | null,
  min: number,
  max: number,
): GrammarNode {
  const missing = Math.max(0, min - count);
  if (other === null || count >= max) return missing === 0 ? text("") : nothing;
  if (count > 0) return repeated(sequence(", ", other), missing, max - count);
  const more = repeated(sequence(", ", other), Math.max(0, missing - 1), max - 1);
  return missing > 0 ? sequence(other, more) : repeated(sequence(other, more), 0, 1);
}

export interface Items {
  readonly prefix: readonly GrammarNode[];
  readonly item: GrammarNode;
  readonly min: number;
  readonly max: number;
}

/** The items of an array, with the comma before each but the first. */
export function itemsNode({ prefix, item, min, max }: Items, rules: RuleSet): GrammarNode {
  const comma = (index: number) => (index === 0 ? "" : ", ");
  const from = Math.max(1, prefix.length);
  const more = max - from;
  let node = more <= 0 ? text("") : repeated(sequence(", ", item), Math.max(0, min - from), more);
  const all = prefix.length > 0 || max === 0 ? prefix : [item];
  for (const [index, own] of [...all.entries()].reverse()) {
    const content = sequence(comma(index), own, node);
    node = rules.add(index < min ? content : optional(content));
  }
  return node;
}
