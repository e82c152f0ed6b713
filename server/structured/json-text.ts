import type { CodePoints, GrammarNode } from "../../engine/grammar/grammar.ts";
import { allCharacters, contains, difference } from "./code-points.ts";
import {
  characters,
  choice,
  digit,
  digits,
  listOf,
  optional,
  repeated,
  sequence,
  text,
} from "./nodes.ts";
import type { RuleSet } from "./nodes.ts";

const quote = 0x22;
const backslash = 0x5c;

/** Characters that JSON writes as a backslash and a letter. */
const escapes = new Map([
  [quote, '\\"'],
  [backslash, "\\\\"],
  [0x08, "\\b"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0c, "\\f"],
  [0x0d, "\\r"],
]);

const unwritable: CodePoints = [
  [0, 0x1f],
  [quote, quote],
  [backslash, backslash],
];

/** One character of a set inside a JSON string, written in one way alone. */
export function jsonCharacter(set: CodePoints): GrammarNode {
  const escaped = [...escapes].filter(([codePoint]) => contains(set, codePoint));
  return choice([
    characters(difference(set, unwritable)),
    ...escaped.map(([, content]) => text(content)),
  ]);
}

/** A JSON value as a text, with a blank after commas and colons, as most JSON that models have read. */
export function jsonText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonText).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(key)}: ${jsonText(item)}`,
  );
  return `{${entries.join(", ")}}`;
}

const hexDigit = characters([
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
]);
const nonZeroDigit = characters([[0x31, 0x39]]);
export const minus = optional(text("-"));

/** Up to 15 digits, which a double holds exactly. */
export const natural = choice([text("0"), sequence(nonZeroDigit, digits(0, 14))]);
const sign = choice([text("+"), text("-"), text("")]);
const exponent = sequence(choice([text("e"), text("E")]), sign, digits(1, 2));

export const jsonInteger: GrammarNode = choice([
  text("0"),
  sequence(minus, nonZeroDigit, digits(0, 14)),
]);

export const jsonNumber: GrammarNode = sequence(
  minus,
  natural,
  optional(sequence(".", repeated(digit, 1, 15))),
  optional(exponent),
);

const jsonBoolean = choice([text("true"), text("false")]);

/** What more than so many of something may be is not asked for: nothing that is allowed is wrong. */
export const maxCount = 65_536;

const blockLength = 64;

/** Any JSON. Strings have no limit, values may be nested. */
export class JsonRules {
  /** Of a string, written in one way alone. */
  readonly character: GrammarNode;
  /** So many characters, for long texts. */
  readonly #block: GrammarNode;
  readonly string: GrammarNode;
  readonly array: GrammarNode;
  readonly object: GrammarNode;
  readonly value: GrammarNode;

  constructor(rules: RuleSet) {
    this.character = rules.add(jsonCharacter(allCharacters));
    this.#block = rules.add(repeated(this.character, blockLength, blockLength));
    const character = choice([
      jsonCharacter(allCharacters),
      sequence("\\u", repeated(hexDigit, 4, 4)),
    ]);
    this.string = rules.add(sequence('"', repeated(character, 0, Infinity), '"'));
    const { rule, define } = rules.reserve();
    this.value = rule;
    this.array = rules.add(sequence("[", listOf(this.value), "]"));
    this.object = rules.add(sequence("{", listOf(sequence(this.string, ": ", this.value)), "}"));
    define(choice([this.object, this.array, this.string, jsonNumber, jsonBoolean, text("null")]));
  }

  /** Strings with a number of characters. */
  textOf(min: number, max: number): GrammarNode {
    const limit = Math.max(min, Math.min(max, maxCount));
    const rest = max === Infinity ? repeated(this.character, 0, Infinity) : this.#upTo(limit - min);
    return sequence('"', ...this.#exactly(min), rest, '"');
  }

  #exactly(count: number): GrammarNode[] {
    const [numBlocks, numMore] = [Math.floor(count / blockLength), count % blockLength];
    return [
      repeated(this.#block, numBlocks, numBlocks),
      repeated(this.character, numMore, numMore),
    ];
  }

  #upTo(count: number): GrammarNode {
    const [numBlocks, numMore] = [Math.floor(count / blockLength), count % blockLength];
    if (numBlocks === 0) return repeated(this.character, 0, numMore);
    return choice([
      sequence(
        repeated(this.#block, 0, numBlocks - 1),
        repeated(this.character, 0, blockLength - 1),
      ),
      sequence(repeated(this.#block, numBlocks, numBlocks), repeated(this.character, 0, numMore)),
    ]);
  }
}
