import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import { GrammarTextError } from "../grammar-text-error.ts";
import { jsonInteger, jsonNumber, minus, natural } from "../json-text.ts";
import { characters, choice, digits, isNothing, optional, sequence, text } from "../nodes.ts";
import { MultipleAutomaton, OtherTextsAutomaton } from "../texts/text-automaton.ts";
import type { TextAutomaton } from "../texts/text-automaton.ts";
import { patternOf } from "../texts/pattern-of.ts";
import { textsGrammar } from "../texts/texts-grammar.ts";
import type { Conversion } from "./conversion.ts";
import { decimalRange, integerRange, type NumberRange } from "./number-range.ts";
import type { Part } from "./parts.ts";
import { numberOf } from "./schema.ts";

/** Multiples of more take too many states. */
const maxStep = 2000;

/** For integers without bounds, of each sign. */
const maxStates = 7000;

const decimal = sequence(minus, natural, optional(sequence(".", digits(1, 15))));

/** @param excluded - numbers that are not allowed */
export function numberNode(
  type: "integer" | "number",
  parts: readonly Part[],
  excluded: readonly number[],
  conversion: Conversion,
): GrammarNode {
  const multiples = parts.flatMap((part) => multiplesOf(part, conversion));
  const automata: TextAutomaton[] = [
    ...multiples,
    ...(excluded.length > 0 ? excludedNumbers(type, excluded, conversion) : []),
    ...(parts.some(({ isFraction }) => isFraction)
      ? [conversion.patterns.automaton("\\.\\d*[1-9]")]
      : []),
  ];
  const range = rangeOf(parts);
  const isBounded = range.min > -Infinity || range.max < Infinity;
  const [first] = parts;
  const bounded = isBounded ? boundedNumber(type, range, parts, conversion) : null;
  if (bounded !== null && isNothing(bounded)) {
    return conversion.contradiction(first!, "no number lies between the bounds");
  }
  if (automata.length === 0) return bounded ?? (type === "integer" ? jsonInteger : jsonNumber);
  const steps = multiples.reduce((product, { divisor }) => product * divisor, 1);
  const all = bounded ?? (type === "integer" ? integersFor(steps) : decimal);
  try {
    const node = textsGrammar({
      automata: [conversion.patterns.automatonOf(patternOf(all)), ...automata],
      write: characters,
      ending: () => text(""),
      rules: conversion.rules,
      spend: conversion.spend,
    });
    return isNothing(node)
      ? conversion.contradiction(first!, "no number between the bounds is a multiple")
      : node;
  } catch (error) {
    if (!(error instanceof GrammarTextError) || error.path !== "") throw error;
    const part = parts.find(({ own }) => own["multipleOf"] !== undefined) ?? first!;
    conversion.leaveOut(part, "multipleOf", `multipleOf is not supported here: ${error.message}`);
    return all;
  }
}

function boundedNumber(
  type: "integer" | "number",
  range: NumberRange,
  parts: readonly Part[],
  conversion: Conversion,
): GrammarNode | null {
  try {
    return type === "integer" ? integerRange(range) : decimalRange(range);
  } catch (error) {
    if (!(error instanceof GrammarTextError)) throw error;
    for (const part of parts) {
      for (const keyword of boundKeywords) {
        if (part.own[keyword] !== undefined) conversion.leaveOut(part, keyword, error.message);
      }
    }
    return null;
  }
}

const boundKeywords = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

function rangeOf(parts: readonly Part[]): NumberRange {
  const bounds = (keyword: string) => parts.map(({ own }) => numberOf(own, keyword));
  const highest = (keyword: string) =>
    Math.max(...bounds(keyword).map((bound) => bound ?? -Infinity));
  const lowest = (keyword: string) =>
    Math.min(...bounds(keyword).map((bound) => bound ?? Infinity));
  const [minimum, above] = [highest("minimum"), highest("exclusiveMinimum")];
  const [maximum, below] = [lowest("maximum"), lowest("exclusiveMaximum")];
  return {
    min: Math.max(minimum, above),
    isMinExclusive: above > -Infinity && above >= minimum,
    max: Math.min(maximum, below),
    isMaxExclusive: below < Infinity && below <= maximum,
  };
}

/** The longer they may be, the more states multiples of a number take. */
function integersFor(steps: number): GrammarNode {
  const numDigits = Math.min(15, Math.max(1, Math.floor(maxStates / steps)));
  return choice([text("0"), sequence(minus, characters([[0x31, 0x39]]), digits(0, numDigits - 1))]);
}

function multiplesOf(part: Part, conversion: Conversion): MultipleAutomaton[] {
  const step = numberOf(part.own, "multipleOf");
  if (step === undefined) return [];
  if (!(step > 0)) throw new GrammarTextError("multipleOf must be a number above 0", part.path);
  for (let decimals = 0; decimals <= 15; decimals++) {
    const scaled = Number((step * 10 ** decimals).toPrecision(15));
    if (!Number.isInteger(scaled)) continue;
    if (scaled <= maxStep) return [new MultipleAutomaton(scaled, decimals)];
    break;
  }
  conversion.leaveOut(part, "multipleOf", `multiples of ${step} are not supported`);
  return [];
}

function excludedNumbers(
  type: "integer" | "number",
  excluded: readonly number[],
  { patterns }: Conversion,
): TextAutomaton[] {
  if (type === "integer") return [new OtherTextsAutomaton(excluded.map(String))];
  return excluded.map((value) => {
    const written = String(value).replace(".", "\\.");
    const zeros = Number.isInteger(value) ? "(\\.0+)?" : "0*";
    return patterns.automaton(`^${value === 0 ? "-?" : ""}${written}${zeros}$`, true);
  });
}
