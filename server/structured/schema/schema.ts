import { GrammarTextError } from "../grammar-text-error.ts";

/** A JSON Schema that is no boolean. */
export type Schema = Readonly<Record<string, unknown>>;

export type JsonType = "object" | "array" | "string" | "number" | "integer" | "boolean" | "null";

/** What belongs to which type; a value of another type need not obey it. */
export const keywordsByType: Readonly<Record<JsonType, readonly string[]>> = {
  object: [
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
  ],
  array: ["items", "prefixItems", "minItems", "maxItems", "uniqueItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: [],
  null: [],
};

/** Keywords of a type that no grammar is made of. */
export const unenforcedByType: Readonly<Partial<Record<JsonType, readonly string[]>>> = {
  object: ["unevaluatedProperties"],
  array: ["contains", "minContains", "maxContains", "unevaluatedItems"],
};

/** Keywords that say nothing about values. */
const annotations = new Set(
  (
    "title description default examples example $schema $id id $comment $anchor $dynamicAnchor $recursiveAnchor " +
    "$vocabulary deprecated readOnly writeOnly contentEncoding contentMediaType contentSchema discriminator " +
    "externalDocs xml $defs definitions"
  ).split(" "),
);

export function isAnnotation(keyword: string): boolean {
  return annotations.has(keyword) || keyword.startsWith("x-");
}

export function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isOfType(value: unknown, type: unknown): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(value);
    case "array":
      return Array.isArray(value);
    case "null":
      return value === null;
    case "object":
      return isObject(value);
    default:
      return typeof value === type;
  }
}

/** The types that a schema names; null where it names none. */
export function typesOf({ type }: Schema): readonly JsonType[] | null {
  if (type === undefined) return null;
  const types: unknown[] = Array.isArray(type) ? type : [type];
  const unknown = types.find(
    (name) => typeof name !== "string" || !Object.hasOwn(keywordsByType, name),
  );
  if (types.length === 0 || unknown !== undefined) {
    throw new GrammarTextError(`there is no type ${JSON.stringify(unknown ?? type)}`);
  }
  return types as JsonType[];
}

/** A whole number from 0 on; undefined where the keyword is absent. */
export function countOf(schema: Schema, keyword: string): number | undefined {
  const value = schema[keyword];
  if (value === undefined || (Number.isInteger(value) && (value as number) >= 0)) {
    return value as number | undefined;
  }
  throw new GrammarTextError(`${keyword} must be a whole number from 0 on`);
}

export function numberOf(schema: Schema, keyword: string): number | undefined {
  const value = schema[keyword];
  if (value === undefined || typeof value === "number") return value;
  throw new GrammarTextError(`${keyword} must be a number`);
}

export function textOf(schema: Schema, keyword: string): string | undefined {
  const value = schema[keyword];
  if (value === undefined || typeof value === "string") return value;
  throw new GrammarTextError(`${keyword} must be a string`);
}

export function listOf(schema: Schema, keyword: string): readonly unknown[] | undefined {
  const value = schema[keyword];
  if (value === undefined || Array.isArray(value)) return value as readonly unknown[] | undefined;
  throw new GrammarTextError(`${keyword} must be a list`);
}

export function schemasOf(schema: Schema, keyword: string): readonly unknown[] | undefined {
  const list = listOf(schema, keyword);
  if (list === undefined || list.length > 0) return list;
  throw new GrammarTextError(`${keyword} must be a list of schemas`);
}

export function namesOf(schema: Schema, keyword: string): readonly string[] {
  const value = schema[keyword] ?? [];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw new GrammarTextError(`${keyword} must be a list of names`);
}

export function mapOf(schema: Schema, keyword: string): Schema {
  const value = schema[keyword] ?? {};
  if (isObject(value)) return value;
  throw new GrammarTextError(`${keyword} must be an object`);
}
