import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import { GrammarTextError } from "../grammar-text-error.ts";
import { jsonCharacter } from "../json-text.ts";
import { isNothing, nothing, sequence } from "../nodes.ts";
import { OtherTextsAutomaton } from "../texts/text-automaton.ts";
import { textsGrammar } from "../texts/texts-grammar.ts";
import type { Conversion } from "./conversion.ts";
import { type Entry, objectOf } from "./json-containers.ts";
import { keyExcept } from "./object-keys.ts";
import type { Part } from "./parts.ts";
import { countOf, mapOf, namesOf } from "./schema.ts";
import { unsureOf } from "./unevaluated.ts";
import { automataOf, textConstraints } from "./string.ts";

/** Counting properties takes a state for each and each count. */
const maxCountedEntries = 20_000;

/** Longer names take a state for each character. */
const maxNameLength = 256;

/**
 * Objects with properties in the order of the schema. Where `properties` are named there are no others, unless the schema
 * says what those are.
 * @param root - the part that has brought in all others, if one has
 */
export function objectNode(
  parts: readonly Part[],
  root: Part | undefined,
  conversion: Conversion,
): GrammarNode {
  return new ObjectConverter(parts, root, conversion).convert();
}

class ObjectConverter {
  readonly #parts: readonly Part[];
  readonly #root: Part | undefined;
  readonly #conversion: Conversion;
  readonly #required: ReadonlySet<string>;
  /** Patterns of names that can be enforced. */
  readonly #patterns: readonly string[];
  /** Others may be there than those that are named, or have a name by a pattern. */
  readonly #isOpen: boolean;
  /** What names must be, each a schema. */
  readonly #nameParts: readonly Part[];

  constructor(parts: readonly Part[], root: Part | undefined, conversion: Conversion) {
    this.#parts = parts;
    this.#root = root;
    this.#conversion = conversion;
    this.#required = new Set(parts.flatMap(({ own }) => namesOf(own, "required")));
    this.#patterns = [...new Set(parts.flatMap((part) => this.#readPatterns(part)))];
    this.#nameParts = parts.flatMap((part) => this.#read(part, "propertyNames"));
    const isSaid = parts.some(({ own }) => own["additionalProperties"] !== undefined);
    const isNamed = ({ own, isDerived }: Part) =>
      !isDerived && (own["properties"] ?? own["patternProperties"]) !== undefined;
    this.#isOpen = isSaid || !parts.some(isNamed);
  }

  convert(): GrammarNode {
    const { rules, contradiction, leaveOut } = this.#conversion;
    for (const part of unsureOf("unevaluatedProperties", this.#parts, this.#root)) {
      leaveOut(part, "unevaluatedProperties");
    }
    const [first] = this.#parts;
    const names = this.#names();
    const entries: Entry[] = [];
    for (const name of names) {
      const value = this.#nameIsAllowed(name)
        ? this.#conversion.valueOf(this.#valueParts(name))
        : nothing;
      const isRequired = this.#required.has(name);
      if (!isNothing(value)) {
        entries.push({ node: sequence(`${JSON.stringify(name)}: `, value), isRequired });
      } else if (isRequired) {
        return contradiction(
          first!,
          `required names ${JSON.stringify(name)}, which is not allowed`,
        );
      }
    }
    const counts = this.#counts(entries);
    if (counts === null) {
      return contradiction(first!, "minProperties is above the largest number of properties");
    }
    const other = this.#other(names);
    return objectOf(entries, isNothing(other) ? null : other, { ...counts, rules });
  }

  /** In the order that they come in. */
  #names(): string[] {
    const names = new Set(this.#parts.flatMap(({ own }) => Object.keys(mapOf(own, "properties"))));
    for (const name of this.#required) names.add(name);
    // Where names are listed, those are what there may be besides.
    if (this.#isOpen) for (const name of this.#listedNames() ?? []) names.add(name);
    this.#conversion.spend(names.size * this.#parts.length);
    return [...names];
  }

  #listedNames(): readonly string[] | null {
    if (this.#nameParts.length === 0) return null;
    const values = this.#conversion.listOf(this.#nameParts);
    return values?.filter((value) => typeof value === "string") ?? null;
  }

  #nameIsAllowed(name: string): boolean {
    return this.#nameParts.every((part) => this.#conversion.check.allows(part, name));
  }

  /** What is said of the value of a property. */
  #valueParts(name: string): Part[] {
    const { parts, patterns } = this.#conversion;
    const said: Part[] = [];
    for (const part of this.#parts) {
      const { own, path, base } = part;
      const properties = mapOf(own, "properties");
      const isNamed = Object.hasOwn(properties, name);
      if (isNamed) said.push(parts.read(properties[name], `${path}.properties.${name}`, base));
      const matching = this.#readPatterns(part).filter((pattern) =>
        patterns.matches(pattern, name),
      );
      said.push(...matching.map((pattern) => this.#patternPart(part, pattern)));
      if (!isNamed && matching.length === 0) said.push(...this.#read(part, "additionalProperties"));
    }
    const isEvaluated = this.#parts.some(
      (part) =>
        part.own["additionalProperties"] !== undefined ||
        (!part.isDerived && this.#conversion.check.isNamed(part.own, name)),
    );
    return isEvaluated ? said : [...said, ...this.#unevaluated()];
  }

  #unevaluated(): Part[] {
    const root = this.#root;
    const schema = root?.keywords["unevaluatedProperties"];
    if (root === undefined || schema === undefined) return [];
    return [this.#conversion.parts.read(schema, `${root.path}.unevaluatedProperties`, root.base)];
  }

  #read(part: Part, keyword: "additionalProperties" | "propertyNames"): Part[] {
    const schema = part.own[keyword];
    return schema === undefined
      ? []
      : [this.#conversion.parts.read(schema, `${part.path}.${keyword}`, part.base)];
  }

  #readPatterns({ own }: Part): string[] {
    return Object.keys(mapOf(own, "patternProperties")).filter(
      (pattern) => this.#conversion.patterns.problemOf(pattern) === null,
    );
  }

  #patternPart({ own, path, base }: Part, pattern: string): Part {
    const schema = mapOf(own, "patternProperties")[pattern];
    return this.#conversion.parts.read(schema, `${path}.patternProperties.${pattern}`, base);
  }

  /** Null where no number of properties is allowed. */
  #counts(entries: readonly Entry[]): { readonly min: number; readonly max: number } | null {
    const numRequired = entries.filter(({ isRequired }) => isRequired).length;
    const count = (keyword: string) =>
      this.#parts.flatMap(({ own }) => countOf(own, keyword) ?? []);
    let min = Math.max(0, ...count("minProperties"));
    let max = Math.min(Infinity, ...count("maxProperties"));
    if (min > max || numRequired > max) return null;
    if (min <= numRequired) min = 0;
    if (!this.#isOpen && this.#patterns.length === 0) {
      if (min > entries.length) return null;
      if (max >= entries.length) max = Infinity;
    }
    const depth = max < Infinity ? max : min;
    if (depth > 1 && (entries.length + 1) * depth > maxCountedEntries) {
      for (const keyword of ["minProperties", "maxProperties"]) {
        const part = this.#parts.find(({ own }) => own[keyword] !== undefined);
        if (part !== undefined) this.#conversion.leaveOut(part, keyword);
      }
      return { min: 0, max: Infinity };
    }
    return { min, max };
  }

  /** A property that is none of the named ones. */
  #other(names: readonly string[]): GrammarNode {
    for (const part of this.#parts) {
      for (const pattern of Object.keys(mapOf(part.own, "patternProperties"))) {
        const problem = this.#conversion.patterns.problemOf(pattern);
        if (problem !== null) this.#conversion.leaveOut(part, "patternProperties", problem);
      }
    }
    if (this.#listedNames() !== null) return nothing;
    if (!this.#isOpen && this.#patterns.length === 0) return nothing;
    const isPlain = this.#patterns.length === 0 && this.#nameParts.length === 0;
    if (isPlain && names.every((name) => name.length <= maxNameLength)) {
      const value = this.#otherValue([]);
      const { json, rules } = this.#conversion;
      const key = names.length === 0 ? json.string : keyExcept(names, rules);
      return isNothing(value) ? nothing : rules.add(sequence(key, ": ", value));
    }
    return this.#otherByName(names);
  }

  #otherByName(names: readonly string[]): GrammarNode {
    const { patterns, rules, spend, leaveOut } = this.#conversion;
    for (const part of this.#nameParts) this.#checkNamePart(part);
    try {
      const constraints = textConstraints(this.#nameParts, [], this.#conversion);
      const node = textsGrammar({
        automata: [
          new OtherTextsAutomaton(names),
          ...(this.#nameParts.length === 0 ? [] : automataOf(constraints, this.#conversion)),
        ],
        observed: this.#patterns.map((pattern) => patterns.automaton(pattern)),
        write: jsonCharacter,
        ending: (isIn) => {
          const value = this.#otherValue(this.#patterns.filter((_, i) => isIn[i]));
          return isNothing(value) ? nothing : sequence('": ', value);
        },
        rules,
        spend,
      });
      return isNothing(node) ? nothing : rules.add(sequence('"', node));
    } catch (error) {
      if (!(error instanceof GrammarTextError) || error.path !== "") throw error;
      const keyword = this.#patterns.length > 0 ? "patternProperties" : "propertyNames";
      const part = this.#parts.find(({ own }) => own[keyword] !== undefined) ?? this.#parts[0]!;
      leaveOut(part, keyword, `${keyword} is not supported here: ${error.message}`);
      return nothing;
    }
  }

  /** What is said of names beyond their characters is not enforced, except for those that are named. */
  #checkNamePart(part: Part): void {
    const { all, choices, unenforced } = part;
    if (all.length + choices.length + unenforced.length > 0) {
      this.#conversion.leaveOut(part, "propertyNames");
    }
  }

  /** @param matching - patterns that the name of the property matches */
  #otherValue(matching: readonly string[]): GrammarNode {
    const said: Part[] = [];
    for (const part of this.#parts) {
      const own = this.#readPatterns(part).filter((pattern) => matching.includes(pattern));
      if (own.length > 0) said.push(...own.map((pattern) => this.#patternPart(part, pattern)));
      else said.push(...this.#read(part, "additionalProperties"));
    }
    if (matching.length === 0 && !this.#isOpen) return nothing;
    const isEvaluated =
      matching.length > 0 ||
      this.#parts.some(({ own }) => own["additionalProperties"] !== undefined);
    return this.#conversion.valueOf(isEvaluated ? said : [...said, ...this.#unevaluated()]);
  }
}
