import fc from "fast-check";
import type { Grammar, GrammarNode } from "../../engine/grammar/grammar.ts";

/** Grammars of texts of a and b, with rules that mention each other; some begin with themselves. */
export function grammars(): fc.Arbitrary<Grammar> {
  const names = ["r0", "r1", "r2", "r3"];
  const { node } = fc.letrec<{ node: GrammarNode }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3, depthSize: "small" },
      fc.record({ kind: fc.constant("text" as const), text: fc.stringMatching(/^[ab]{0,2}$/) }),
      fc.constant<GrammarNode>({ kind: "characters", codePoints: [[0x61, 0x62]] }),
      fc.record({ kind: fc.constant("rule" as const), name: fc.constantFrom(...names) }),
      fc.record({
        kind: fc.constant("sequence" as const),
        parts: fc.array(tie("node"), { maxLength: 3 }),
      }),
      fc.record({
        kind: fc.constant("choice" as const),
        alternatives: fc.array(tie("node"), { minLength: 1, maxLength: 3 }),
      }),
      fc.record({
        kind: fc.constant("repeat" as const),
        item: tie("node"),
        min: fc.nat({ max: 2 }),
        max: fc.constantFrom(2, 3, Infinity),
      }),
    ),
  }));
  return fc.record({
    root: node,
    rules: fc.record(Object.fromEntries(names.map((name) => [name, node]))),
  });
}
