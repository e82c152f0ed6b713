import test from "ava";
import fc from "fast-check";
import { GrammarError } from "../../../engine/contract/errors.ts";
import type { Automaton } from "../../../engine/contract/automaton.ts";
import { buildAutomaton } from "../../../engine/grammar/automaton.ts";
import type { Grammar } from "../../../engine/grammar/grammar.ts";
import { Positions } from "../../../engine/grammar/positions.ts";
import { maxWork } from "../../../engine/grammar/work-limit.ts";
import { parseGrammarText } from "../../../server/structured/grammar-text.ts";
import { accepter } from "../../helpers/grammar-texts.ts";
import { plainRecogniser } from "../../helpers/plain-recogniser.ts";
import { grammars } from "../../helpers/random-grammar.ts";

function positionsOf(automaton: Automaton): Positions {
  let numStacks = 0;
  return new Positions(automaton, () => ++numStacks);
}

/** Null where a rule begins with itself. */
function built(grammar: Grammar): Automaton | null {
  try {
    return buildAutomaton(grammar);
  } catch (error) {
    if (error instanceof GrammarError) return null;
    throw error;
  }
}

/** All texts of a and b up to a length. */
function texts(length: number): string[] {
  if (length === 0) return [""];
  const shorter = texts(length - 1);
  const longest = shorter.filter((text) => text.length === length - 1);
  return [...shorter, ...longest.flatMap((text) => [`${text}a`, `${text}b`])];
}

test("an automaton accepts exactly what its grammar says, whatever rules mention each other", (t) => {
  const samples = texts(6);
  let numCompared = 0;
  fc.assert(
    fc.property(grammars(), (grammar) => {
      if (built(grammar) === null) return;
      numCompared++;
      const accepts = accepter(grammar);
      const isIn = plainRecogniser(grammar);
      for (const text of samples) {
        if (accepts(text) !== isIn(text)) t.fail(`${JSON.stringify(grammar)} and ${text}`);
      }
    }),
    { numRuns: 400 },
  );
  t.true(numCompared > 100);
});

/** Work of each byte of a text, the first that of the start. */
function workOf(grammar: Grammar, text: string): number[] {
  const positions = positionsOf(buildAutomaton(grammar));
  const work: number[] = [];
  const measure = <Result>(step: () => Result): Result => {
    positions.work.allow(maxWork);
    const result = step();
    work.push(maxWork - positions.work.left);
    return result;
  };
  let position = measure(() => positions.start());
  for (const byte of Buffer.from(text)) {
    const from = position;
    position = measure(() => positions.step(from, byte))!;
  }
  return work;
}

/** As many rules that each begin with the next in two ways, so that there are 2 ** numRules ways in. */
function doubling(numRules: number, optional: "" | "?"): Grammar {
  const rules = Array.from(
    { length: numRules },
    (_, i) => `r${i} ::= r${i + 1} "x"${optional} | r${i + 1} "y"${optional}`,
  );
  return parseGrammarText(`root ::= r0\n${rules.join("\n")}\nr${numRules} ::= "z"`);
}

test("ways that double with each rule cost no more than the rules", (t) => {
  for (const optional of ["", "?"] as const) {
    const text = `z${"xy".repeat(10)}`;
    t.true(accepter(doubling(20, optional))(text));
    t.is(accepter(doubling(20, optional))(`${text}x`), false);
    const small = Math.max(...workOf(doubling(20, optional), text));
    const large = Math.max(...workOf(doubling(200, optional), text));
    t.true(large < 15 * small, `${small} and ${large}`);
    t.true(large < maxWork / 10);
  }
});

test("the more ways there are to have come to a place, the work grows as their number, not as their paths", (t) => {
  // Each a may be the last of any number of those before it: there are as many trees as Catalan's numbers say.
  const grammar = parseGrammarText('root ::= "a" root? root? root?');
  const work = workOf(grammar, "a".repeat(60));
  t.true(work[60]! < 8 * work[30]!, `${work[30]} and ${work[60]}`);
  t.true(accepter(grammar)("a".repeat(60)));
});

test("the work for a byte stays within its bound, or the grammar is given up", (t) => {
  fc.assert(
    fc.property(grammars(), fc.stringMatching(/^[ab]{40}$/), (grammar, text) => {
      const automaton = built(grammar);
      if (automaton === null) return;
      const positions = positionsOf(automaton);
      positions.work.allow(2000);
      try {
        let position = positions.start();
        for (const byte of Buffer.from(text)) {
          positions.work.allow(2000);
          const next = positions.step(position, byte);
          if (next === null) return;
          position = next;
        }
        t.true(positions.work.left >= 0);
      } catch (error) {
        if (!(error instanceof GrammarError)) throw error;
        // Nothing of what was left is done before it is looked at.
        t.true(positions.work.left > -2000);
      }
    }),
    { numRuns: 200 },
  );
});

test("what is known of a grammar takes no more than its bound, however long its texts are", (t) => {
  const automaton = buildAutomaton(parseGrammarText('root ::= ("(" root ")" | [a-z]){0,9000}'));
  const positions = positionsOf(automaton);
  let position = positions.start();
  let most = 0;
  for (let i = 0; i < 40_000; i++) {
    positions.work.allow(maxWork);
    position = positions.step(position, i % 3 === 0 ? 0x28 : 0x61)!;
    most = Math.max(most, positions.sizeBytes);
  }
  t.true(most < automaton.sizeBytes + 25 * 2 ** 20, `${most}`);
  t.true(most > 10 * 2 ** 20);
});
