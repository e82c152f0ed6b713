import type { CodePoints } from "../../../engine/grammar/grammar.ts";
import { allCharacters, contains } from "../code-points.ts";
import { GrammarTextError } from "../grammar-text-error.ts";
import { looksAhead } from "../pattern.ts";
import type { PatternNode } from "../pattern-parser.ts";
import { dead, type TextAutomaton } from "./text-automaton.ts";

/** A set of texts by the numbers of its parts; equal ones have equal numbers. */
type Expression =
  | { readonly kind: "characters"; readonly codePoints: CodePoints }
  | { readonly kind: "concatenation"; readonly first: number; readonly rest: number }
  | { readonly kind: "any" | "all"; readonly of: readonly number[] }
  | { readonly kind: "not"; readonly of: number }
  | {
      readonly kind: "repeat";
      readonly item: number;
      readonly min: number;
      readonly max: number;
    };

/** Larger sets would take long. */
const maxWork = 2_000_000;
const maxExpressions = 50_000;

/**
 * Sets of texts that are made of patterns, by derivatives (Brzozowski, 1964): what may follow a character is such a set
 * again, which makes an automaton with the sets as states. It has what grammars have not: all of several, none of
 * some, and looking ahead.
 */
export class TextExpressions {
  readonly #expressions: Expression[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #isNullable: boolean[] = [];
  readonly #borders: (readonly number[] | undefined)[] = [];
  readonly #derivatives = new Map<number, Map<number, number>>();
  readonly #nothing = this.#number("nothing", { kind: "any", of: [] }, false);
  readonly #empty = this.#number("empty", { kind: "all", of: [] }, true);
  readonly #everything = this.#repeat(this.#characters(allCharacters), 0, Infinity);
  #work = 0;

  /** @throws GrammarTextError when it looks ahead inside a repetition, or is too large */
  automaton(pattern: PatternNode, { isNegative = false } = {}): TextAutomaton {
    const positive = this.#compile(pattern, this.#empty);
    const start = isNegative ? this.#not(positive) : positive;
    const toState = (expression: number) => (expression === this.#nothing ? dead : expression);
    return {
      start,
      step: (state, codePoint) => toState(this.#derivative(state, codePoint)),
      isEnd: (state) => this.#isNullable[state]!,
      borders: (state) => this.#bordersOf(state),
    };
  }

  /** @param next - all that follows, to the end of the text */
  #compile(node: PatternNode, next: number): number {
    this.#spend(1);
    switch (node.kind) {
      case "characters":
        return this.#concatenation(this.#characters(node.codePoints), next);
      case "sequence":
        return node.parts.reduceRight((rest, part) => this.#compile(part, rest), next);
      case "choice":
        return this.#combine(
          "any",
          node.alternatives.map((part) => this.#compile(part, next)),
        );
      case "ahead": {
        const content = this.#compile(node.content, this.#empty);
        return this.#combine("all", [node.isNegative ? this.#not(content) : content, next]);
      }
      case "repeat":
        return looksAhead(node.item)
          ? this.#unrolled(node, next)
          : this.#concatenation(
              this.#repeat(this.#compile(node.item, this.#empty), node.min, node.max),
              next,
            );
    }
  }

  /** What is looked at ahead depends on all that follows. */
  #unrolled({ item, min, max }: Extract<PatternNode, { kind: "repeat" }>, next: number): number {
    if (max === Infinity) {
      throw new GrammarTextError("the pattern looks ahead in a repetition without end");
    }
    let all = next;
    for (let i = max; i > 0; i--) {
      const more = this.#compile(item, all);
      all = i > min ? this.#combine("any", [next, more]) : more;
    }
    return all;
  }

  #derivative(number: number, codePoint: number): number {
    let known = this.#derivatives.get(number);
    if (known === undefined) this.#derivatives.set(number, (known = new Map<number, number>()));
    // All characters between two borders lead to the same.
    const border = lastUpTo(this.#bordersOf(number), codePoint);
    let derivative = known.get(border);
    if (derivative === undefined) {
      known.set(border, (derivative = this.#findDerivative(number, codePoint)));
    }
    return derivative;
  }

  #findDerivative(number: number, codePoint: number): number {
    const expression = this.#expressions[number]!;
    switch (expression.kind) {
      case "characters":
        return contains(expression.codePoints, codePoint) ? this.#empty : this.#nothing;
      case "concatenation": {
        const { first, rest } = expression;
        const here = this.#concatenation(this.#derivative(first, codePoint), rest);
        return this.#isNullable[first]
          ? this.#combine("any", [here, this.#derivative(rest, codePoint)])
          : here;
      }
      case "any":
      case "all":
        if (number === this.#empty) return this.#nothing;
        return this.#combine(
          expression.kind,
          expression.of.map((part) => this.#derivative(part, codePoint)),
        );
      case "not":
        return this.#not(this.#derivative(expression.of, codePoint));
      case "repeat": {
        const { item, min, max } = expression;
        const rest = this.#repeat(item, Math.max(0, min - 1), max - 1);
        return this.#concatenation(this.#derivative(item, codePoint), rest);
      }
    }
  }

  /** Ascending. */
  #bordersOf(number: number): readonly number[] {
    const known = this.#borders[number];
    if (known !== undefined) return known;
    const found = new Set<number>();
    for (const border of this.#findBorders(this.#expressions[number]!)) found.add(border);
    this.#spend(found.size);
    return (this.#borders[number] = [...found].sort((a, b) => a - b));
  }

  *#findBorders(expression: Expression): Iterable<number> {
    switch (expression.kind) {
      case "characters":
        for (const [first, last] of expression.codePoints) yield* [first, last + 1];
        return;
      case "concatenation":
        yield* this.#bordersOf(expression.first);
        if (this.#isNullable[expression.first]) yield* this.#bordersOf(expression.rest);
        return;
      case "any":
      case "all":
        for (const part of expression.of) yield* this.#bordersOf(part);
        return;
      case "not":
        return yield* this.#bordersOf(expression.of);
      case "repeat":
        return yield* this.#bordersOf(expression.item);
    }
  }

  #characters(codePoints: CodePoints): number {
    if (codePoints.length === 0) return this.#nothing;
    const key = `c${codePoints.join(";")}`;
    return this.#number(key, { kind: "characters", codePoints }, false);
  }

  #concatenation(first: number, rest: number): number {
    if (first === this.#nothing || rest === this.#nothing) return this.#nothing;
    if (first === this.#empty) return rest;
    if (rest === this.#empty) return first;
    const expression = this.#expressions[first]!;
    if (expression.kind === "concatenation") {
      return this.#concatenation(expression.first, this.#concatenation(expression.rest, rest));
    }
    const isNullable = this.#isNullable[first]! && this.#isNullable[rest]!;
    return this.#number(`${first}.${rest}`, { kind: "concatenation", first, rest }, isNullable);
  }

  #combine(kind: "any" | "all", parts: readonly number[]): number {
    const [neutral, absorbing] =
      kind === "any" ? [this.#nothing, this.#everything] : [this.#everything, this.#nothing];
    const of = new Set<number>();
    for (const part of parts) {
      const expression = this.#expressions[part]!;
      const members = expression.kind === kind && part > this.#empty ? expression.of : [part];
      for (const member of members) of.add(member);
      this.#spend(members.length);
    }
    of.delete(neutral);
    if (of.has(absorbing)) return absorbing;
    if (of.size === 0) return neutral;
    const sorted = [...of].sort((a, b) => a - b);
    if (sorted.length === 1) return sorted[0]!;
    const isNullable =
      kind === "any"
        ? sorted.some((part) => this.#isNullable[part])
        : sorted.every((part) => this.#isNullable[part]);
    return this.#number(`${kind}${sorted.join()}`, { kind, of: sorted }, isNullable);
  }

  #not(of: number): number {
    if (of === this.#nothing) return this.#everything;
    if (of === this.#everything) return this.#nothing;
    const expression = this.#expressions[of]!;
    if (expression.kind === "not") return expression.of;
    return this.#number(`!${of}`, { kind: "not", of }, !this.#isNullable[of]);
  }

  #repeat(item: number, min: number, max: number): number {
    if (max === 0 || item === this.#empty) return this.#empty;
    if (item === this.#nothing) return min === 0 ? this.#empty : this.#nothing;
    if (min === 1 && max === 1) return item;
    const isNullable = min === 0 || this.#isNullable[item]!;
    return this.#number(`${item}{${min},${max}`, { kind: "repeat", item, min, max }, isNullable);
  }

  #number(key: string, expression: Expression, isNullable: boolean): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    if (this.#expressions.length >= maxExpressions) this.#fail();
    const number = this.#expressions.push(expression) - 1;
    this.#isNullable[number] = isNullable;
    this.#numbers.set(key, number);
    return number;
  }

  #spend(work: number): void {
    this.#work += work;
    if (this.#work > maxWork) this.#fail();
  }

  #fail(): never {
    throw new GrammarTextError("its patterns need too many states together");
  }
}

/** The last of ascending numbers that is not above one; -1 where there is none. */
function lastUpTo(numbers: readonly number[], limit: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle]! <= limit) low = middle + 1;
    else high = middle;
  }
  return numbers[low - 1] ?? -1;
}
