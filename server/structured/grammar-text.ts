import type { CodePoints, Grammar, GrammarNode } from "../../engine/grammar/grammar.ts";
import { allCharacters, difference, union } from "./code-points.ts";
import { GrammarTextError } from "./grammar-text-error.ts";
import { characters, choice, repeated, text, toGrammar } from "./nodes.ts";

/**
 * A grammar as llama.cpp (GBNF) and XGrammar (EBNF) write it, with a rule `root`: literals, classes, groups,
 * alternatives and repetitions.
 * @throws GrammarTextError
 */
export function parseGrammarText(source: string): Grammar {
  return new GrammarParser(source).parse();
}

type Token =
  | { readonly kind: "name" | "symbol"; readonly value: string }
  | { readonly kind: "node"; readonly node: GrammarNode }
  | { readonly kind: "count"; readonly min: number; readonly max: number };

const tokenPattern =
  /\s+|#[^\n]*|(?<name>[A-Za-z_][\w-]*)|(?<symbol>::=|[()|*+?.])|\{(?<min>\d{1,9})(?<comma>,?)(?<max>\d{0,9})\}|"(?<literal>[^"\\\n]*(?:\\.[^"\\\n]*)*)"|\[(?<class>[^\]\\\n]*(?:\\.[^\]\\\n]*)*)\]/suy;

/** Larger ones are mistakes. */
const maxCount = 10_000;
const maxDepth = 100;

class GrammarParser {
  readonly #tokens: readonly Token[];
  readonly #rules: Record<string, GrammarNode> = {};
  readonly #mentioned = new Set<string>();
  #position = 0;
  #depth = 0;

  constructor(source: string) {
    this.#tokens = tokenize(source);
  }

  parse(): Grammar {
    while (this.#position < this.#tokens.length) this.#rule();
    for (const name of ["root", ...this.#mentioned]) {
      if (!Object.hasOwn(this.#rules, name)) throw new GrammarTextError(`there is no rule ${name}`);
    }
    return toGrammar({ kind: "rule", name: "root" }, this.#rules);
  }

  #rule(): void {
    if (!this.#startsRule())
      throw new GrammarTextError("expected `name ::=` at the start of a rule");
    const { value: name } = this.#tokens[this.#position] as { value: string };
    if (Object.hasOwn(this.#rules, name)) throw new GrammarTextError(`two rules ${name}`);
    this.#position += 2;
    this.#rules[name] = this.#alternatives();
  }

  #startsRule(): boolean {
    const next = this.#tokens[this.#position + 1];
    return (
      this.#tokens[this.#position]?.kind === "name" &&
      next?.kind === "symbol" &&
      next.value === "::="
    );
  }

  #alternatives(): GrammarNode {
    const alternatives = [this.#terms()];
    while (this.#take("|")) alternatives.push(this.#terms());
    return choice(alternatives);
  }

  #terms(): GrammarNode {
    const terms: GrammarNode[] = [];
    while (this.#position < this.#tokens.length && !this.#startsRule()) {
      const item = this.#item();
      if (item === null) break;
      terms.push(this.#repeats(item));
    }
    return terms.length === 1 ? terms[0]! : { kind: "sequence", parts: terms };
  }

  /** Null at the end of an alternative. */
  #item(): GrammarNode | null {
    const token = this.#tokens[this.#position]!;
    if (token.kind === "symbol" && (token.value === "|" || token.value === ")")) return null;
    this.#position++;
    if (token.kind === "node") return token.node;
    if (token.kind === "name") {
      this.#mentioned.add(token.value);
      return { kind: "rule", name: token.value };
    }
    if (token.kind === "symbol" && token.value === ".") return characters(allCharacters);
    if (token.kind !== "symbol" || token.value !== "(") {
      throw new GrammarTextError("a repetition with nothing before it, or a ::= without a name");
    }
    if (++this.#depth > maxDepth) throw new GrammarTextError("too many groups in each other");
    const group = this.#alternatives();
    this.#depth--;
    if (!this.#take(")")) throw new GrammarTextError("a ( without its )");
    return group;
  }

  #repeats(item: GrammarNode): GrammarNode {
    if (++this.#depth > maxDepth) throw new GrammarTextError("too many repetitions in each other");
    const token = this.#tokens[this.#position];
    let node = item;
    if (this.#take("*")) node = this.#repeats(repeated(item, 0, Infinity));
    else if (this.#take("+")) node = this.#repeats(repeated(item, 1, Infinity));
    else if (this.#take("?")) node = this.#repeats(repeated(item, 0, 1));
    else if (token?.kind === "count") {
      this.#position++;
      node = this.#repeats(repeated(item, token.min, token.max));
    }
    this.#depth--;
    return node;
  }

  #take(symbol: string): boolean {
    const token = this.#tokens[this.#position];
    if (token?.kind !== "symbol" || token.value !== symbol) return false;
    this.#position++;
    return true;
  }
}

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  for (let position = 0; position < source.length;) {
    tokenPattern.lastIndex = position;
    const match = tokenPattern.exec(source);
    if (match === null) {
      const line = source.slice(0, position).split("\n").length;
      const rest = JSON.stringify(source.slice(position, position + 20));
      throw new GrammarTextError(`line ${line} cannot be read from ${rest} on`);
    }
    position = tokenPattern.lastIndex;
    const { name, symbol, min, comma, max, literal, class: set } = match.groups!;
    if (name !== undefined) tokens.push({ kind: "name", value: name });
    else if (symbol !== undefined) tokens.push({ kind: "symbol", value: symbol });
    else if (literal !== undefined) tokens.push({ kind: "node", node: text(unescape(literal)) });
    else if (set !== undefined) tokens.push({ kind: "node", node: characters(readClass(set)) });
    else if (min !== undefined) tokens.push(countOf(min, comma!, max!));
  }
  return tokens;
}

function countOf(min: string, comma: string, max: string): Token {
  const low = Number(min);
  const high = comma === "" ? low : max === "" ? Infinity : Number(max);
  if (low > high || low > maxCount || (high > maxCount && high < Infinity)) {
    throw new GrammarTextError(`{${min}${comma}${max}} is no count up to ${maxCount}`);
  }
  return { kind: "count", min: low, max: high };
}

/** One character, escaped or not. */
const characterPattern = /\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\.|[^\\]/gsu;
const controls: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", "0": "\0" };

function charactersOf(escaped: string): string[] {
  return (escaped.match(characterPattern) ?? []).map((character) => {
    if (!character.startsWith("\\")) return character;
    const kind = character[1]!;
    if (character.length === 2) return controls[kind] ?? kind;
    const codePoint = Number.parseInt(character.slice(2), 16);
    if (codePoint > 0x10ffff) throw new GrammarTextError(`there is no character ${character}`);
    return String.fromCodePoint(codePoint);
  });
}

function unescape(literal: string): string {
  return charactersOf(literal).join("");
}

function readClass(source: string): CodePoints {
  const isNegated = source.startsWith("^");
  const members = (isNegated ? source.slice(1) : source).match(characterPattern) ?? [];
  const codePointOf = (member: string) => charactersOf(member)[0]!.codePointAt(0)!;
  const ranges: (readonly [number, number])[] = [];
  for (let i = 0; i < members.length; i++) {
    const first = codePointOf(members[i]!);
    const isRange = members[i + 1] === "-" && i + 2 < members.length;
    const last = isRange ? codePointOf(members[i + 2]!) : first;
    if (last < first) throw new GrammarTextError(`[${source}] has a range that is none`);
    ranges.push([first, last]);
    if (isRange) i += 2;
  }
  const set = difference(union([ranges]), [[0xd800, 0xdfff]]);
  return isNegated ? difference(allCharacters, set) : set;
}
