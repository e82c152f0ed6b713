import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import { choice, isNothing, nothing, repeated, type RuleSet, sequenceOf } from "../nodes.ts";

/**
 * Takes out what no text comes of, such as an object that must have itself as a property: there an answer could begin, but
 * never end.
 * @param first - number of the first rule that may be mentioned
 * @returns the node without them
 */
export function withoutDeadEnds(rules: RuleSet, node: GrammarNode, first: number): GrammarNode {
  const definitions = rules.from(first);
  const mentions = new Map<string, string[]>();
  for (const [name, definition] of definitions) {
    for (const mentioned of rulesIn(definition)) {
      const list = mentions.get(mentioned);
      if (list === undefined) mentions.set(mentioned, [name]);
      else list.push(name);
    }
  }
  const alive = new Set<string>();
  const open = [...definitions.keys()];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const definition = definitions.get(name);
    if (alive.has(name) || definition === undefined || !hasText(definition, alive)) continue;
    alive.add(name);
    open.push(...(mentions.get(name) ?? []));
  }
  if (alive.size === definitions.size) return node;
  for (const name of alive) rules.redefine(name, living(definitions.get(name)!, alive));
  return living(node, alive);
}

function* rulesIn(node: GrammarNode): Iterable<string> {
  switch (node.kind) {
    case "rule":
      yield node.name;
      return;
    case "sequence":
      for (const part of node.parts) yield* rulesIn(part);
      return;
    case "choice":
      for (const part of node.alternatives) yield* rulesIn(part);
      return;
    case "repeat":
      yield* rulesIn(node.item);
      return;
    case "triggered":
      yield* rulesIn(node.content);
      return;
    case "text":
    case "characters":
      return;
  }
}

function hasText(node: GrammarNode, alive: ReadonlySet<string>): boolean {
  switch (node.kind) {
    case "text":
      return true;
    case "characters":
      return node.codePoints.length > 0;
    case "rule":
      return alive.has(node.name);
    case "sequence":
      return node.parts.every((part) => hasText(part, alive));
    case "choice":
      return node.alternatives.some((part) => hasText(part, alive));
    case "repeat":
      return node.min === 0 || hasText(node.item, alive);
    case "triggered":
      return hasText(node.content, alive);
  }
}

function living(node: GrammarNode, alive: ReadonlySet<string>): GrammarNode {
  if (isNothing(node)) return nothing;
  switch (node.kind) {
    case "text":
    case "characters":
      return node;
    case "rule":
      return alive.has(node.name) ? node : nothing;
    case "sequence":
      return sequenceOf(node.parts.map((part) => living(part, alive)));
    case "choice":
      return choice(node.alternatives.map((part) => living(part, alive)));
    case "repeat":
      return repeated(living(node.item, alive), node.min, node.max);
    case "triggered":
      return { ...node, content: living(node.content, alive) };
  }
}
