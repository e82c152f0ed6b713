import type { Grammar, GrammarNode } from "../../engine/grammar/grammar.ts";
import { GrammarTextError } from "./grammar-text-error.ts";
import { jsonBoolean, jsonInteger, jsonNumber, JsonRules, jsonText } from "./json-text.ts";
import { itemsFrom, objectOf } from "./json-containers.ts";
import { choice, repeated, RuleSet, sequence, text } from "./nodes.ts";
import {
  countOf,
  decodePointer,
  isListed,
  isOfType,
  isStringList,
  keywordsByType,
  present,
  schemaList,
  schemaListOrEmpty,
  typesOf,
} from "./schema-keywords.ts";
import type { JsonType } from "./schema-keywords.ts";
import { decimalRange, integerRange } from "./number-range.ts";
import { keyExcept } from "./object-keys.ts";
import { patternGrammar } from "./pattern.ts";
import { areDisjoint } from "./schema-disjoint.ts";
import { constraints, isAnnotation, isObject, mergeSchemas } from "./schema-merge.ts";
import type { Schema } from "./schema-merge.ts";
import { stringFormats } from "./string-formats.ts";

const general = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"];
const known = new Set([...general, ...Object.values(keywordsByType).flat()]);
/** Keywords that say nothing at these values. */
const neutral: Readonly<Record<string, unknown>> = { uniqueItems: false, multipleOf: 1 };

const maxDepth = 64;
const maxNameLength = 256;
const maxPrefixItems = 100;

/**
 * A grammar of values that a JSON Schema allows, written as `json.dumps` would. Not all of them: properties come in
 * the order of the schema, and objects with named properties have no others unless `additionalProperties` says so.
 * What the grammar could not make sure of is refused.
 * @throws GrammarTextError
 */
export function schemaGrammar(schema: unknown): Grammar {
  const rules = new RuleSet();
  return rules.grammar(schemaNode(schema, rules));
}

/** As `schemaGrammar`, as a part of a larger grammar. */
export function schemaNode(schema: unknown, rules: RuleSet): GrammarNode {
  return new SchemaConverter(schema, rules).convert(schema, "", 0);
}

class SchemaConverter {
  readonly #root: unknown;
  readonly #rules: RuleSet;
  readonly #json: JsonRules;
  /** Rules of `$ref`s, by what they refer to. */
  readonly #references = new Map<string, GrammarNode>();

  constructor(root: unknown, rules: RuleSet) {
    this.#root = root;
    this.#rules = rules;
    this.#json = new JsonRules(rules);
  }

  convert(schema: unknown, path: string, depth: number): GrammarNode {
    if (schema === true) return this.#json.value;
    if (depth > maxDepth) throw new GrammarTextError("schemas nested too deeply", path);
    if (!isObject(schema)) {
      throw new GrammarTextError("expected a JSON Schema that allows something", path);
    }
    try {
      return this.#convert(schema, path, depth);
    } catch (error) {
      if (!(error instanceof GrammarTextError) || error.path !== "") throw error;
      throw new GrammarTextError(error.message, path);
    }
  }

  #convert(schema: Schema, path: string, depth: number): GrammarNode {
    for (const [keyword, value] of Object.entries(schema)) {
      if (known.has(keyword) || isAnnotation(keyword)) continue;
      if (Object.hasOwn(neutral, keyword) && value === neutral[keyword]) continue;
      throw new GrammarTextError(`${keyword} is not supported`, path);
    }
    const { $ref, allOf, anyOf, oneOf: exactlyOne, ...rest } = constraints(schema);
    if ($ref !== undefined) {
      const others = { ...rest, ...present({ allOf, anyOf, oneOf: exactlyOne }) };
      return Object.keys(others).length === 0
        ? this.#reference($ref, depth)
        : this.convert(mergeSchemas(others, this.#resolved($ref)), path, depth + 1);
    }
    if (allOf !== undefined) {
      const parts = schemaList(allOf, "allOf").map((part) => this.#flat(part));
      const others = { ...rest, ...present({ anyOf, oneOf: exactlyOne }) };
      return this.convert([others, ...parts].reduce(mergeSchemas), path, depth + 1);
    }
    const alternatives = anyOf ?? exactlyOne;
    if (alternatives !== undefined) {
      const keyword = anyOf === undefined ? "oneOf" : "anyOf";
      if (anyOf !== undefined && exactlyOne !== undefined) {
        throw new GrammarTextError("anyOf and oneOf in one schema are not supported");
      }
      return this.#alternatives(schemaList(alternatives, keyword), keyword, rest, path, depth);
    }
    return this.#plain(rest, path, depth);
  }

  #alternatives(
    parts: readonly unknown[],
    keyword: "anyOf" | "oneOf",
    rest: Schema,
    path: string,
    depth: number,
  ): GrammarNode {
    if (keyword === "oneOf" && !areDisjoint(parts.map((part) => this.#flat(part)))) {
      throw new GrammarTextError(
        "oneOf with alternatives that one value might match together is not supported; use anyOf",
      );
    }
    const isPlain = Object.keys(rest).length === 0;
    const converted = parts.map((part, i) =>
      this.convert(
        isPlain ? part : mergeSchemas(rest, this.#flat(part)),
        `${path}.${keyword}[${i}]`,
        depth + 1,
      ),
    );
    return choice(converted);
  }

  /** Without its `$ref`, where it has one. */
  #flat(part: unknown): Schema {
    if (part === true) return {};
    if (!isObject(part)) throw new GrammarTextError("expected schemas that allow something");
    const { $ref, ...rest } = part;
    return $ref === undefined ? part : mergeSchemas(rest, this.#resolved($ref));
  }

  #reference(ref: unknown, depth: number): GrammarNode {
    const key = JSON.stringify(ref);
    const known = this.#references.get(key);
    if (known !== undefined) return known;
    const { rule, define } = this.#rules.reserve();
    this.#references.set(key, rule);
    define(this.convert(this.#resolved(ref), key, depth + 1));
    return rule;
  }

  /** What a chain of references ends at. */
  #resolved(ref: unknown): Schema {
    const seen = new Set<unknown>();
    let target: unknown = { $ref: ref };
    while (isObject(target) && target["$ref"] !== undefined) {
      const { $ref, ...rest } = target;
      if (seen.has($ref))
        throw new GrammarTextError(`$ref ${JSON.stringify($ref)} refers to itself`);
      if (Object.keys(constraints(rest)).length > 0) return target;
      seen.add($ref);
      target = this.#find($ref);
    }
    if (target === true) return {};
    if (isObject(target)) return target;
    throw new GrammarTextError(`$ref ${JSON.stringify(ref)} refers to no schema`);
  }

  #find(ref: unknown): unknown {
    if (typeof ref !== "string" || !ref.startsWith("#")) {
      throw new GrammarTextError(`$ref must begin with # (got ${JSON.stringify(ref)})`);
    }
    let target: unknown = this.#root;
    for (const part of ref.slice(1).split("/").slice(1)) {
      const key = decodePointer(part);
      target = isObject(target) && Object.hasOwn(target, key) ? target[key] : undefined;
    }
    if (target === undefined) throw new GrammarTextError(`$ref ${ref} refers to nothing`);
    return target;
  }

  #plain(schema: Schema, path: string, depth: number): GrammarNode {
    const { enum: values, const: constant } = schema;
    if (constant !== undefined) return this.#values([constant], schema);
    if (values !== undefined) {
      if (!Array.isArray(values)) throw new GrammarTextError("enum must be a list");
      return this.#values(values, schema);
    }
    const types = typesOf(schema);
    if (types === null) return this.#json.value;
    return choice(types.map((type) => this.#ofType(type, schema, path, depth)));
  }

  #values(values: readonly unknown[], schema: Schema): GrammarNode {
    const { enum: listed, const: constant, type, ...others } = schema;
    const [unsupported] = Object.keys(others);
    if (unsupported !== undefined) {
      throw new GrammarTextError(`${unsupported} beside enum or const is not supported`);
    }
    const types = type === undefined ? null : [type].flat();
    const allowed = values.filter(
      (value) =>
        (types === null || types.some((name) => isOfType(value, name))) &&
        (listed === undefined || constant === undefined || isListed(listed, value)),
    );
    if (allowed.length === 0) throw new GrammarTextError("enum and type together allow no value");
    return choice(allowed.map((value) => text(jsonText(value))));
  }

  #ofType(type: JsonType, schema: Schema, path: string, depth: number): GrammarNode {
    switch (type) {
      case "object":
        return this.#object(schema, path, depth);
      case "array":
        return this.#array(schema, path, depth);
      case "string":
        return this.#string(schema);
      case "integer":
      case "number":
        return numberOf(type, schema);
      case "boolean":
        return jsonBoolean;
      case "null":
        return text("null");
    }
  }

  #object(schema: Schema, path: string, depth: number): GrammarNode {
    const { properties = {}, required = [], additionalProperties } = schema;
    if (!isObject(properties)) throw new GrammarTextError("properties must be an object");
    if (!isStringList(required)) throw new GrammarTextError("required must be a list of names");
    const named = new Map(Object.entries(properties));
    const isOpen =
      additionalProperties !== false && (named.size === 0 || additionalProperties !== undefined);
    for (const name of required) {
      if (named.has(name)) continue;
      if (additionalProperties === false) {
        throw new GrammarTextError(`required names ${JSON.stringify(name)}, which is not allowed`);
      }
      named.set(name, additionalProperties ?? true);
    }
    const entries = [...named].map(([name, value]) => ({
      node: this.#rules.add(
        sequence(
          `${JSON.stringify(name)}: `,
          this.convert(value, `${path}.properties.${name}`, depth + 1),
        ),
      ),
      isRequired: required.includes(name),
    }));
    if (!isOpen) return objectOf(entries, null, this.#rules);
    if (named.size === 0 && (additionalProperties === undefined || additionalProperties === true)) {
      return this.#json.object;
    }
    if ([...named.keys()].some((name) => name.length > maxNameLength)) {
      throw new GrammarTextError(
        `a name of more than ${maxNameLength} characters beside additionalProperties is not supported`,
      );
    }
    const value = this.convert(additionalProperties, `${path}.additionalProperties`, depth + 1);
    return objectOf(
      entries,
      this.#rules.add(sequence(keyExcept([...named.keys()]), ": ", value)),
      this.#rules,
    );
  }

  #array(schema: Schema, path: string, depth: number): GrammarNode {
    const { items = true, prefixItems = [] } = schema;
    const prefix = schemaListOrEmpty(prefixItems).map((item, i) =>
      this.convert(item, `${path}.prefixItems[${i}]`, depth + 1),
    );
    if (prefix.length > maxPrefixItems) {
      throw new GrammarTextError(`more than ${maxPrefixItems} prefixItems are not supported`);
    }
    const min = countOf(schema, "minItems", 0);
    const limit = countOf(schema, "maxItems", Infinity);
    const max = items === false ? Math.min(limit, prefix.length) : limit;
    if (min > max) throw new GrammarTextError("minItems is above the largest number of items");
    if (max === 0) return text("[]");
    const item =
      max > prefix.length
        ? this.#rules.add(this.convert(items, `${path}.items`, depth + 1))
        : text("");
    return sequence("[", itemsFrom(0, { prefix, item, min, max }), "]");
  }

  #string(schema: Schema): GrammarNode {
    const { pattern, format } = schema;
    const min = countOf(schema, "minLength", 0);
    const max = countOf(schema, "maxLength", Infinity);
    if (min > max) throw new GrammarTextError("minLength is above maxLength");
    const isBounded = min > 0 || max < Infinity;
    if (pattern !== undefined) {
      if (typeof pattern !== "string") throw new GrammarTextError("pattern must be a string");
      if (isBounded) {
        throw new GrammarTextError("pattern together with minLength or maxLength is not supported");
      }
      return quoted(patternGrammar(pattern, { isInJson: true }));
    }
    if (isBounded) return quoted(repeated(this.#json.character, min, max));
    const formatPattern = typeof format === "string" ? stringFormats.get(format) : undefined;
    return formatPattern === undefined
      ? this.#json.string
      : quoted(patternGrammar(formatPattern, { isInJson: true }));
  }
}

function quoted(content: GrammarNode): GrammarNode {
  return sequence('"', content, '"');
}

function numberOf(type: "integer" | "number", schema: Schema): GrammarNode {
  const bound = (keyword: string): number | undefined => {
    const value = schema[keyword];
    if (value === undefined) return undefined;
    if (typeof value === "number") return value;
    throw new GrammarTextError(`${keyword} must be a number`);
  };
  const [minimum, above] = [bound("minimum"), bound("exclusiveMinimum")];
  const [maximum, below] = [bound("maximum"), bound("exclusiveMaximum")];
  const range = {
    min: Math.max(minimum ?? -Infinity, above ?? -Infinity),
    isMinExclusive: above !== undefined && above >= (minimum ?? -Infinity),
    max: Math.min(maximum ?? Infinity, below ?? Infinity),
    isMaxExclusive: below !== undefined && below <= (maximum ?? Infinity),
  };
  if (range.min === -Infinity && range.max === Infinity) {
    return type === "integer" ? jsonInteger : jsonNumber;
  }
  return type === "integer" ? integerRange(range) : decimalRange(range);
}
