import test from "ava";
import fc from "fast-check";
import type { CodePoints } from "../../../engine/grammar/grammar.ts";
import { allCharacters, difference, union } from "../../../server/structured/code-points.ts";
import { parseGrammarText } from "../../../server/structured/grammar-text.ts";
import { patternGrammar } from "../../../server/structured/pattern.ts";

/** Ranges below 50, in no order and with overlaps. */
const ranges = fc.array(
  fc.tuple(fc.nat(40), fc.nat(9)).map(([first, length]): CodePoints => [[first, first + length]]),
  { maxLength: 8 },
);

function members(set: CodePoints): number[] {
  return set.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i),
  );
}

test("what is in either set is in their union once, and in their difference what is in the one alone", (t) => {
  fc.assert(
    fc.property(ranges, ranges, (some, others) => {
      const [set, excluded] = [union(some), union(others)];
      const expected = new Set(some.flatMap(members));
      t.deepEqual(
        members(set),
        [...expected].sort((a, b) => a - b),
      );
      for (const member of members(excluded)) expected.delete(member);
      t.deepEqual(
        members(difference(set, excluded)),
        [...expected].sort((a, b) => a - b),
      );
    }),
    { numRuns: 300 },
  );
});

/** Characters that no two of are neighbours. */
function scattered(count: number): string {
  return Array.from({ length: count }, (_, i) => String.fromCodePoint(0x10000 + 2 * i)).join("");
}

for (const [name, parse] of [
  ["pattern", (source: string) => patternGrammar(source)],
  ["pattern in JSON", (source: string) => patternGrammar(source)],
  ["grammar", (source: string) => parseGrammarText(`root ::= ${source}`)],
] as const) {
  test(`a ${name} that excludes 100,000 characters is read in time linear in them`, (t) => {
    const startedAt = performance.now();
    parse(`[^${scattered(100_000)}]`);
    // Quadratic time would be an hour.
    t.true(performance.now() - startedAt < 20_000);
  });
}

test("what is left of all characters without some begins and ends with all characters", (t) => {
  const rest = difference(allCharacters, union([[[0x41, 0x42]], [[0xffff, 0x10000]]]));
  t.deepEqual(rest, [
    [0, 0x40],
    [0x43, 0xd7ff],
    [0xe000, 0xfffe],
    [0x10001, 0x10ffff],
  ]);
});

test("a count of a million digits is refused, and so are a million repetitions", (t) => {
  const digits = "1".repeat(1_000_000);
  t.throws(() => patternGrammar(`a{${digits}x}`), { message: /has \{1{59}…/ });
  t.throws(() => parseGrammarText(`root ::= "a"{${digits}x`), { message: /line 1/ });
  t.throws(() => parseGrammarText(`root ::= "a"${"*".repeat(1_000_000)}`), {
    message: /too many repetitions/,
  });
});
