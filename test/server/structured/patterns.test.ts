import test from "ava";
import { parseGrammarText } from "../../../server/structured/grammar-text.ts";
import { jsonCharacter } from "../../../server/structured/json-text.ts";
import { characters, toGrammar } from "../../../server/structured/nodes.ts";
import { parsePattern } from "../../../server/structured/pattern-parser.ts";
import { decimalRange, integerRange } from "../../../server/structured/schema/number-range.ts";
import { patternGrammar, patternNode } from "../../../server/structured/pattern.ts";
import { accepter } from "../../helpers/grammar-texts.ts";

function matcherOf(pattern: string, isInJson = false): (text: string) => boolean {
  const write = isInJson ? jsonCharacter : characters;
  return accepter(toGrammar(patternNode(parsePattern(pattern, false), write)));
}

const patterns = [
  "abc",
  "^a|b$",
  "a*b+c?",
  "(ab|a)(c|bcd)",
  "[a-c]{2,3}x{2}y{1,}",
  "[^a-c\\d]",
  "\\d+\\.\\d{2}",
  "\\w+@\\w+",
  "(?:x(?<n>y)?)*?z",
  "[\\]\\-a]",
  "é|[à-ü]",
  "\\u0041\\x42\\t",
  "",
  "a.c",
  "\\S\\s\\S",
];
const alphabet = [..."abcdxyz019.@-]_é\tAB "];

test("a pattern allows what JavaScript's regular expression matches as a whole", (t) => {
  let state = 1;
  const random = (count: number) => {
    state = (Math.imul(state, 0x5bd1e995) + 0x9e3779b9) | 0;
    return (state >>> 8) % count;
  };
  for (const pattern of patterns) {
    const accepts = matcherOf(pattern);
    const whole = new RegExp(`^(?:${pattern.replace(/^\^|\$$/g, "")})$`, "u");
    const samples = [
      "abc",
      "aac",
      "b",
      "abcd",
      "acb",
      "aabxxyy",
      "12.34",
      "a_b@c9",
      "xyxz",
      "]",
      "ä",
      "AB\t",
      "",
      "x y",
    ];
    for (let i = 0; i < 3000; i++) {
      const text = Array.from({ length: random(6) }, () => alphabet[random(alphabet.length)]).join(
        "",
      );
      samples.push(text);
    }
    for (const text of samples) t.is(accepts(text), whole.test(text), `${pattern} and ${text}`);
  }
});

test("in JSON a pattern's characters are escaped", (t) => {
  const accepts = matcherOf('^[^a]"?\\\\\\n$', true);
  t.true(accepts('b\\"\\\\\\n'));
  t.true(accepts('\\"\\\\\\n'));
  t.false(accepts('b"\\\\\\n'));
  t.false(accepts("b\\\n"));
});

for (const pattern of [
  "(?=a)",
  "(?<!a)b",
  "\\bword",
  "(a)\\1",
  "a**",
  "[z-a]",
  "(a",
  "a)",
  "a{3,1}",
  "*a",
  "a^b",
  "\\p{L}",
  "[a",
  "a{2000}",
]) {
  test(`the pattern ${pattern} is refused`, (t) => {
    t.throws(() => patternGrammar(pattern), { name: "GrammarTextError" });
  });
}

test("integers of a range are exactly those between its bounds", (t) => {
  for (const [min, max] of [
    [0, 0],
    [-3, 12],
    [7, 1234],
    [-250, -99],
    [95, 105],
    [1.5, 20.2],
  ] as const) {
    for (const [isMinExclusive, isMaxExclusive] of [
      [false, false],
      [true, true],
    ] as const) {
      if (isMinExclusive && max - min < 2) continue;
      const accepts = accepter(
        toGrammar(integerRange({ min, isMinExclusive, max, isMaxExclusive })),
      );
      for (let value = -300; value <= 1300; value++) {
        const expected =
          (isMinExclusive ? value > min : value >= min) &&
          (isMaxExclusive ? value < max : value <= max);
        t.is(accepts(String(value)), expected, `${value} in ${min} to ${max}`);
      }
      t.false(accepts("007"));
    }
  }
});

test("decimals of a range lie between its bounds, and those with few digits are all there", (t) => {
  for (const [min, max] of [
    [0, 1],
    [0.25, 0.75],
    [-1.5, 2.5],
    [-0.5, -0.25],
    [3, Infinity],
    [-Infinity, 12.34],
  ] as const) {
    for (const isExclusive of [false, true]) {
      const range = { min, isMinExclusive: isExclusive, max, isMaxExclusive: isExclusive };
      const accepts = accepter(toGrammar(decimalRange(range)));
      for (let i = -2000; i <= 2000; i++) {
        const value = i / 100;
        const expected = isExclusive ? value > min && value < max : value >= min && value <= max;
        t.is(accepts(String(value)), expected, `${value} in ${min} to ${max}`);
      }
    }
  }
});

test("GBNF and EBNF are read: comments, groups, classes, repetitions, rules over several lines", (t) => {
  const accepts = accepter(
    parseGrammarText(`
      # a list of words
      root ::= "[" word
               ("," ws word){0,2} "]"   # at most three
      word ::= [a-zé]+ | [^\\]\\n\\x2c a-z]{2} | "\\"\\u0041\\\\"
      ws   ::= " "?
    `),
  );
  for (const text of ["[é]", "[a, bc,d]", '["A\\]', "[__]"]) t.true(accepts(text), text);
  for (const text of ["[]", "[a,b,c,d]", "[a,  b]", "[_]"]) t.false(accepts(text), text);
});

for (const [source, message] of [
  ["", /no rule root/],
  ["start ::= x", /no rule root/],
  ["root ::= other", /no rule other/],
  ['root ::= "a', /line 1 cannot be read/],
  ['root ::= ("a"', /\( without its \)/],
  ['root ::= * "a"', /repetition with nothing/],
  ['root ::= "a"\nroot ::= "b"', /two rules root/],
  ['"a"', /start of a rule/],
] as const) {
  test(`the grammar ${JSON.stringify(source)} is refused`, (t) => {
    t.throws(() => parseGrammarText(source), { name: "GrammarTextError", message });
  });
}
