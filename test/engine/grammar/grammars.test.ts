import test from "ava";
import { GrammarError } from "../../../engine/contract/errors.ts";
import { buildAutomaton } from "../../../engine/grammar/automaton.ts";
import type { Grammar, GrammarNode } from "../../../engine/grammar/grammar.ts";
import { Grammars } from "../../../engine/grammar/grammars.ts";
import { utf8Ranges } from "../../../engine/grammar/utf8-ranges.ts";
import type { TokenTable } from "../../../model/text/token-table.ts";
import { parseGrammarText } from "../../../server/structured/grammar-text.ts";
import { accepter } from "../../helpers/grammar-texts.ts";

const contents = ["", "a", "b", "ab", "aab", "ba", "é", "\n", "abc", "c", "a"];
const eosTokenIds = [0];

function tableOf(texts: readonly string[]): TokenTable {
  const chunks = texts.map((text) => Buffer.from(text));
  const offsets = new Uint32Array(texts.length + 1);
  for (const [id, chunk] of chunks.entries()) offsets[id + 1] = offsets[id]! + chunk.length;
  const bytes = new Uint8Array(Buffer.concat(chunks));
  return {
    bytes,
    offsets,
    control: new Uint8Array(texts.length),
    controlTexts: new Map(),
    eosTokenIds,
  };
}

function allowed(mask: Int32Array): number[] {
  return Array.from({ length: mask.length * 32 }, (_, id) => id).filter(
    (id) => ((mask[id >> 5]! >>> (id & 31)) & 1) === 1,
  );
}

function open(grammar: Grammar, vocabSize = 40) {
  return new Grammars(tableOf(contents), vocabSize).open(buildAutomaton(grammar));
}

test("a mask has exactly the tokens after which the text can go on, and the end where it can end", (t) => {
  const matcher = open(parseGrammarText('root ::= "a"* "b" ("c" | "é")?'));
  t.deepEqual(allowed(matcher.mask()), [1, 2, 3, 4, 8, 10]);
  matcher.accept(4);
  t.true(matcher.isComplete);
  t.deepEqual(allowed(matcher.mask()), [0, 6, 9]);
  matcher.accept(9);
  t.deepEqual(allowed(matcher.mask()), [0]);
});

test("ids beyond the tokens are never allowed", (t) => {
  const matcher = open(parseGrammarText("root ::= .*"), 1000);
  t.deepEqual(allowed(matcher.mask()), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("a token that the mask does not allow is a defect", (t) => {
  const matcher = open(parseGrammarText('root ::= "a"'));
  t.throws(() => matcher.accept(2), { message: /does not allow token 2/ });
});

test("nested brackets are counted, however deep", (t) => {
  const accepts = accepter(parseGrammarText('root ::= "(" root* ")"'));
  t.true(accepts("(".repeat(3000) + ")".repeat(3000)));
  t.false(accepts("(".repeat(3000) + ")".repeat(2999)));
  t.true(accepts("(()(()))"));
});

test("more positions than are kept at once change nothing", (t) => {
  const accepts = accepter(parseGrammarText("root ::= [a-z]{5000,6000}"));
  for (let i = 0; i < 2; i++) {
    t.false(accepts("x".repeat(4999)));
    t.true(accepts("x".repeat(5500)));
    t.false(accepts("x".repeat(6001)));
  }
});

test("a triggered content follows its trigger wherever that comes up, and nothing else changes", (t) => {
  const root = (isOnce: boolean): GrammarNode => ({
    kind: "triggered",
    trigger: "<aab>",
    content: { kind: "text", text: "12" },
    isOnce,
  });
  const often = accepter({ root: root(false), rules: {} });
  for (const text of ["", "<", "<<aa<aab>12", "x<aab>12y<aab>12", "<aab <aab", "é\n"]) {
    t.true(often(text), text);
  }
  for (const text of ["<aab>", "<aab>1", "<<aab>x", "<aab>12<aab>13"]) t.false(often(text), text);
  const once = accepter({ root: root(true), rules: {} });
  t.true(once("x<aab>12"));
  t.false(once("x<aab>12y"));
});

test("UTF-8 ranges are exactly the code points of a range", (t) => {
  for (const [first, last] of [
    [0, 0x10ffff],
    [0x41, 0x5a],
    [0x7f, 0x80],
    [0x430, 0x44f],
    [0x7ab, 0x1234],
    [0xe123, 0x10abc],
    [0x1f600, 0x1f64f],
  ] as const) {
    const sequences = utf8Ranges(first, last);
    const contains = (codePoint: number) => {
      const bytes = Buffer.from(String.fromCodePoint(codePoint));
      const matching = sequences.filter(
        (ranges) =>
          ranges.length === bytes.length &&
          ranges.every(([low, high], i) => low <= bytes[i]! && bytes[i]! <= high),
      );
      t.true(matching.length <= 1);
      return matching.length === 1;
    };
    for (let codePoint = 0; codePoint <= 0x10ffff; codePoint += codePoint < 0x3000 ? 7 : 97) {
      if (codePoint >= 0xd800 && codePoint <= 0xdfff) continue;
      if (contains(codePoint) !== (first <= codePoint && codePoint <= last)) t.fail(`${codePoint}`);
    }
    for (const edge of [first, last]) t.true(contains(edge));
  }
});

for (const [name, source] of [
  ["begins with itself", 'root ::= root "a" | "b"'],
  ["begins with itself by others", 'root ::= "x"? other\nother ::= "y"* root'],
  ["begins with itself behind an empty rule", 'root ::= empty root\nempty ::= "" | "z"'],
] as const) {
  test(`a rule that ${name} is refused`, (t) => {
    t.throws(() => buildAutomaton(parseGrammarText(source)), {
      instanceOf: GrammarError,
      message: /begins with itself/,
    });
  });
}

test("a grammar that is too large is refused before it takes the memory", (t) => {
  const source = "root ::= (([a-z]{1000}){1000}){1000}";
  t.throws(() => buildAutomaton(parseGrammarText(source)), {
    instanceOf: GrammarError,
    message: /too large/,
  });
});

test("rules that mention each other by the thousand are checked in little time", (t) => {
  const numRules = 20_000;
  const chain = Array.from({ length: numRules }, (_, i) => `r${i} ::= r${i + 1}? r${i + 1} | "a"`);
  const source = `root ::= r0\n${chain.join("\n")}\nr${numRules} ::= "x"?`;
  const startedAt = performance.now();
  t.notThrows(() => buildAutomaton(parseGrammarText(source)));
  t.true(performance.now() - startedAt < 10_000);
});

test("a grammar that leaves too many ways open fails instead of taking minutes", (t) => {
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  const words = letters.flatMap((a) => letters.flatMap((b) => letters.map((c) => a + b + c)));
  const table = tableOf(["", ...words]);
  const source = `root ::= ${letters.map((a) => `[a-z]* "${a}" [a-z]{600}`).join(" | ")}`;
  const matcher = new Grammars(table, table.control.length).open(
    buildAutomaton(parseGrammarText(source)),
  );
  const failure = t.throws(() => {
    for (let i = 0; i < 400; i++) {
      const [id] = allowed(matcher.mask()).filter((token) => token > 0 && token % 7 === i % 7);
      matcher.accept(id!);
    }
  });
  t.true(failure instanceof GrammarError);
});

test("a grammar is learnt once for all its texts", (t) => {
  const grammars = new Grammars(tableOf(contents), 40);
  const automaton = buildAutomaton(parseGrammarText("root ::= .*"));
  t.is(grammars.open(automaton).mask(), grammars.open(structuredClone(automaton)).mask());
});
