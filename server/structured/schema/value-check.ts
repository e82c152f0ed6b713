import { GrammarTextError } from "../grammar-text-error.ts";
import { jsonText } from "../json-text.ts";
import type { Part, Parts } from "./parts.ts";
import type { Patterns } from "./patterns.ts";
import {
  countOf,
  isObject,
  isOfType,
  listOf,
  mapOf,
  namesOf,
  numberOf,
  type Schema,
  textOf,
  typesOf,
} from "./schema.ts";

export interface ValueCheckOptions {
  readonly parts: Parts;
  readonly patterns: Patterns;
  /** Counts what it costs. */
  readonly spend: (work: number) => void;
}

/** Says of values whether a schema allows them. Nothing of a schema is run as a program. */
export class ValueCheck {
  readonly #parts: Parts;
  readonly #patterns: Patterns;
  readonly #spend: ValueCheckOptions["spend"];
  /** Values of enums as texts, by their list. */
  readonly #listed = new Map<unknown, ReadonlySet<string>>();

  constructor({ parts, patterns, spend }: ValueCheckOptions) {
    this.#parts = parts;
    this.#patterns = patterns;
    this.#spend = spend;
  }

  allows(part: Part, value: unknown): boolean {
    this.#spend(1 / 4);
    if (part.isNever) return false;
    if (part.excluded.length > 0 && this.#isListed(part.excluded, value)) return false;
    if (part.isFraction && Number.isInteger(value)) return false;
    const { excludedPattern } = part;
    if (excludedPattern !== undefined && typeof value === "string") {
      if (this.#patterns.matches(excludedPattern, value)) return false;
    }
    return Object.keys(part.keywords).every((keyword) => this.#allowsKeyword(part, keyword, value));
  }

  #allowsKeyword(part: Part, keyword: string, value: unknown): boolean {
    const schema = part.keywords;
    const test = (at: unknown, tested = value): boolean =>
      this.allows(this.#parts.read(at, `${part.path}.${keyword}`, part.base), tested);
    switch (keyword) {
      case "$ref":
        return this.allows(this.#parts.refer(schema[keyword], part.path, part.base), value);
      case "$dynamicRef":
        return (
          part.unenforced.includes(keyword) ||
          this.allows(this.#parts.refer(schema[keyword], part.path, part.base), value)
        );
      case "allOf":
        return listOf(schema, keyword)!.every((at) => test(at));
      case "anyOf":
        return listOf(schema, keyword)!.some((at) => test(at));
      case "oneOf":
        return listOf(schema, keyword)!.filter((at) => test(at)).length === 1;
      case "not":
        return !test(schema["not"]);
      case "if":
        return test(schema[test(schema["if"]) ? "then" : "else"] ?? true);
      case "type":
        return typesOf(schema)!.some((type) => isOfType(value, type));
      case "const":
        return jsonKey(value) === jsonKey(schema[keyword]);
      case "enum":
        return this.#isListed(listOf(schema, keyword)!, value);
    }
    if (typeof value === "number") return allowsNumber(schema, keyword, value);
    if (typeof value === "string") return this.#allowsText(schema, keyword, value);
    if (Array.isArray(value)) return this.#allowsItems(schema, keyword, value, test);
    if (isObject(value)) return this.#allowsProperties(schema, keyword, value, test);
    return true;
  }

  #allowsText(schema: Schema, keyword: string, value: string): boolean {
    switch (keyword) {
      case "minLength":
        return [...value].length >= countOf(schema, keyword)!;
      case "maxLength":
        return [...value].length <= countOf(schema, keyword)!;
      case "pattern":
        return this.#patterns.matches(textOf(schema, keyword)!, value);
      default:
        return true;
    }
  }

  #allowsItems(
    schema: Schema,
    keyword: string,
    items: readonly unknown[],
    test: (at: unknown, tested: unknown) => boolean,
  ): boolean {
    const prefix = listOf(schema, "prefixItems") ?? [];
    switch (keyword) {
      case "minItems":
        return items.length >= countOf(schema, keyword)!;
      case "maxItems":
        return items.length <= countOf(schema, keyword)!;
      case "prefixItems":
        return items.slice(0, prefix.length).every((item, i) => test(prefix[i], item));
      case "items":
        return items.slice(prefix.length).every((item) => test(schema[keyword], item));
      case "uniqueItems":
        return !schema[keyword] || new Set(items.map(jsonKey)).size === items.length;
      case "contains": {
        const found = items.filter((item) => test(schema[keyword], item)).length;
        const max = countOf(schema, "maxContains") ?? Infinity;
        return found >= (countOf(schema, "minContains") ?? 1) && found <= max;
      }
      default:
        return true;
    }
  }

  #allowsProperties(
    schema: Schema,
    keyword: string,
    value: Schema,
    test: (at: unknown, tested?: unknown) => boolean,
  ): boolean {
    const names = Object.keys(value);
    const has = (name: string) => Object.hasOwn(value, name);
    switch (keyword) {
      case "required":
        return namesOf(schema, keyword).every(has);
      case "properties":
        return Object.entries(mapOf(schema, keyword)).every(
          ([name, at]) => !has(name) || test(at, value[name]),
        );
      case "patternProperties":
        return Object.entries(mapOf(schema, keyword)).every(([pattern, at]) =>
          names.every((name) => !this.#patterns.matches(pattern, name) || test(at, value[name])),
        );
      case "additionalProperties":
        return names.every(
          (name) => this.isNamed(schema, name) || test(schema[keyword], value[name]),
        );
      case "propertyNames":
        return names.every((name) => test(schema[keyword], name));
      case "minProperties":
        return names.length >= countOf(schema, keyword)!;
      case "maxProperties":
        return names.length <= countOf(schema, keyword)!;
      case "dependentRequired":
        return Object.entries(mapOf(schema, keyword)).every(
          ([name, others]) => !has(name) || (others as string[]).every(has),
        );
      case "dependentSchemas":
        return Object.entries(mapOf(schema, keyword)).every(([name, at]) => !has(name) || test(at));
      default:
        return true;
    }
  }

  /** In `properties`, or by a pattern. */
  isNamed(schema: Schema, name: string): boolean {
    return (
      Object.hasOwn(mapOf(schema, "properties"), name) ||
      Object.keys(mapOf(schema, "patternProperties")).some((pattern) =>
        this.#patterns.matches(pattern, name),
      )
    );
  }

  #isListed(list: readonly unknown[], value: unknown): boolean {
    let texts = this.#listed.get(list);
    if (texts === undefined) this.#listed.set(list, (texts = new Set(list.map(jsonKey))));
    const key = jsonKey(value);
    this.#spend(key.length / 64);
    return texts.has(key);
  }
}

function allowsNumber(schema: Schema, keyword: string, value: number): boolean {
  const limit = numberOf(schema, numberKeywords.has(keyword) ? keyword : "") ?? NaN;
  switch (keyword) {
    case "minimum":
      return value >= limit;
    case "maximum":
      return value <= limit;
    case "exclusiveMinimum":
      return value > limit;
    case "exclusiveMaximum":
      return value < limit;
    case "multipleOf":
      return isMultiple(value, limit);
    default:
      return true;
  }
}

const numberKeywords = new Set([
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
]);

/** As decimals: 0.3 is a multiple of 0.1. */
function isMultiple(value: number, step: number): boolean {
  if (!(step > 0)) throw new GrammarTextError("multipleOf must be a number above 0");
  if (Number.isInteger(value / step)) return true;
  const quotient = Math.round(value / step);
  return Number((quotient * step).toPrecision(15)) === Number(value.toPrecision(15));
}

/** The same for values that JSON Schema calls equal. */
export function jsonKey(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonKey).join()}]`;
  if (!isObject(value)) return jsonText(value === 0 ? 0 : value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, item]) => `${JSON.stringify(name)}:${jsonKey(item)}`).join()}}`;
}
