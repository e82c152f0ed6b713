import type { Grammar, GrammarNode } from "../../engine/grammar/grammar.ts";
import { reasoningEnd, reasoningStart } from "../text/reasoning-tags.ts";
import { choice, sequence, toGrammar } from "./nodes.ts";

/**
 * A text that a grammar governs where the model has ended its reasoning, or does not begin with any: what it thinks is
 * free.
 * @param isOpen the prompt ends inside of the reasoning
 */
export function behindReasoning({ root, rules }: Grammar, isOpen: boolean): Grammar {
  const thought: GrammarNode = {
    kind: "triggered",
    trigger: reasoningEnd,
    content: root,
    isOnce: true,
  };
  return toGrammar(isOpen ? thought : choice([root, sequence(reasoningStart, thought)]), rules);
}
