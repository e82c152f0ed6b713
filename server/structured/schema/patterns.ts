import { GrammarTextError } from "../grammar-text-error.ts";
import { parsePattern, type PatternNode } from "../pattern-parser.ts";
import { accepts, type TextAutomaton } from "../texts/text-automaton.ts";
import { TextExpressions } from "../texts/text-expressions.ts";
import { stringFormats } from "./string-formats.ts";

/** The patterns and formats of a schema, each read once. */
export class Patterns {
  readonly #expressions = new TextExpressions();
  readonly #nodes = new Map<string, PatternNode | GrammarTextError>();
  readonly #automata = new Map<string, TextAutomaton>();

  /** @throws GrammarTextError when it is none, or cannot be enforced */
  node(pattern: string): PatternNode {
    let node = this.#nodes.get(pattern);
    if (node === undefined) this.#nodes.set(pattern, (node = read(pattern)));
    if (node instanceof GrammarTextError) throw node;
    return node;
  }

  /** @throws GrammarTextError when it is none, or cannot be enforced */
  automaton(pattern: string, isNegative = false): TextAutomaton {
    const key = `${isNegative}${pattern}`;
    let automaton = this.#automata.get(key);
    if (automaton === undefined) {
      automaton = this.#expressions.automaton(this.node(pattern), { isNegative });
      this.#automata.set(key, automaton);
    }
    return automaton;
  }

  /** Of another set of texts. */
  automatonOf(node: PatternNode): TextAutomaton {
    return this.#expressions.automaton(node);
  }

  /**
   * Why a pattern cannot be enforced; null where it can.
   * @throws GrammarTextError when it is none
   */
  problemOf(pattern: string): string | null {
    try {
      this.automaton(pattern);
      return null;
    } catch (error) {
      if (error instanceof GrammarTextError && !error.isMistake) return error.message;
      throw error;
    }
  }

  /** True also where the pattern cannot be enforced. */
  matches(pattern: string, text: string): boolean {
    return this.problemOf(pattern) !== null || accepts(this.automaton(pattern), text);
  }
}

/** A pattern that texts of a format match; undefined for formats that say nothing here. */
export function formatPattern(format: string): string | undefined {
  const pattern = stringFormats.get(format);
  return pattern === undefined ? undefined : `^(?:${pattern})$`;
}

function read(pattern: string): PatternNode | GrammarTextError {
  try {
    return parsePattern(pattern, true);
  } catch (error) {
    if (error instanceof GrammarTextError) return error;
    throw error;
  }
}
