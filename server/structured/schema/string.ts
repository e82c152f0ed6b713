import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import { GrammarTextError } from "../grammar-text-error.ts";
import { jsonCharacter } from "../json-text.ts";
import { isNothing, sequence, text } from "../nodes.ts";
import { looksAhead, patternNode } from "../pattern.ts";
import {
  LengthAutomaton,
  OtherTextsAutomaton,
  type TextAutomaton,
} from "../texts/text-automaton.ts";
import { textsGrammar } from "../texts/texts-grammar.ts";
import type { Conversion } from "./conversion.ts";
import type { Part } from "./parts.ts";
import { formatPattern } from "./patterns.ts";
import { countOf, textOf } from "./schema.ts";

/** Of texts with a pattern, longer ones are not asked for: their states would be many. */
const maxPatternLength = 1000;

/** What several parts say of a string. */
export interface TextConstraints {
  readonly patterns: readonly string[];
  /** As patterns. */
  readonly formats: readonly string[];
  readonly excludedPatterns: readonly string[];
  readonly excluded: readonly string[];
  readonly min: number;
  /** Infinity for none */
  readonly max: number;
}

export function textConstraints(
  parts: readonly Part[],
  excluded: readonly string[],
  { patterns, leaveOut }: Conversion,
): TextConstraints {
  const readable = (part: Part, keyword: string, pattern: string | undefined): string[] => {
    if (pattern === undefined) return [];
    const problem = patterns.problemOf(pattern);
    if (problem === null) return [pattern];
    leaveOut(part, keyword, problem);
    return [];
  };
  const all = (of: (part: Part) => readonly string[]) => [...new Set(parts.flatMap(of))];
  return {
    patterns: all((part) => readable(part, "pattern", textOf(part.own, "pattern"))),
    formats: all(({ own: { format } }) => {
      const pattern = typeof format === "string" ? formatPattern(format) : undefined;
      return pattern === undefined ? [] : [pattern];
    }),
    excludedPatterns: all((part) => readable(part, "not", part.excludedPattern)),
    excluded,
    min: Math.max(...parts.map(({ own }) => countOf(own, "minLength") ?? 0)),
    max: Math.min(...parts.map(({ own }) => countOf(own, "maxLength") ?? Infinity)),
  };
}

/** Sets of texts that have in common what the constraints allow. */
export function automataOf(
  { patterns, formats, excludedPatterns, excluded, min, max }: TextConstraints,
  conversion: Conversion,
): TextAutomaton[] {
  return [
    ...[...patterns, ...formats].map((pattern) => conversion.patterns.automaton(pattern)),
    ...excludedPatterns.map((pattern) => conversion.patterns.automaton(pattern, true)),
    ...(excluded.length > 0 ? [new OtherTextsAutomaton(excluded)] : []),
    ...(min > 0 || max < Infinity
      ? [new LengthAutomaton(min, max === Infinity ? max : Math.min(max, min + maxPatternLength))]
      : []),
  ];
}

/** @param excluded - texts that are not allowed */
export function stringNode(
  parts: readonly Part[],
  excluded: readonly string[],
  conversion: Conversion,
): GrammarNode {
  const constraints = textConstraints(parts, excluded, conversion);
  const { patterns, formats, excludedPatterns, min, max } = constraints;
  const [first] = parts;
  if (min > max) return conversion.contradiction(first!, "minLength is above maxLength");
  const positive = [...patterns, ...formats];
  const isBounded = min > 0 || max < Infinity;
  if (positive.length + excludedPatterns.length + excluded.length === 0) {
    return isBounded ? conversion.json.textOf(min, max) : conversion.json.string;
  }
  if (positive.length === 1 && excludedPatterns.length + excluded.length === 0 && !isBounded) {
    const node = conversion.patterns.node(positive[0]!);
    if (!looksAhead(node)) return sequence('"', patternNode(node, jsonCharacter), '"');
  }
  const node = combined(constraints, parts, conversion);
  if (!isNothing(node)) return node;
  if (formats.length > 0) {
    // What other texts of the format look like is not known here, and a format may go without.
    const others = combined({ ...constraints, formats: [] }, parts, conversion);
    const part = parts.find(({ own }) => own["format"] !== undefined)!;
    conversion.note(part, "format");
    if (!isNothing(others)) return others;
  }
  return conversion.contradiction(first!, "no string is allowed by all that is said of it");
}

function combined(
  constraints: TextConstraints,
  parts: readonly Part[],
  conversion: Conversion,
): GrammarNode {
  try {
    const node = textsGrammar({
      automata: automataOf(constraints, conversion),
      write: jsonCharacter,
      ending: () => text('"'),
      rules: conversion.rules,
      spend: conversion.spend,
    });
    return sequence('"', node);
  } catch (error) {
    if (!(error instanceof GrammarTextError) || error.path !== "") throw error;
    const isSaid = (keyword: string) => parts.find(({ own }) => own[keyword] !== undefined);
    for (const keyword of ["pattern", "format"]) {
      const part = isSaid(keyword);
      if (part === undefined) continue;
      conversion.leaveOut(part, keyword, `${keyword} is not supported here: ${error.message}`);
    }
    return conversion.json.textOf(constraints.min, constraints.max);
  }
}
