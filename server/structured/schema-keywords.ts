import { GrammarTextError } from "./grammar-text-error.ts";
import { isObject } from "./schema-merge.ts";
import type { Schema } from "./schema-merge.ts";

export type JsonType = "object" | "array" | "string" | "number" | "integer" | "boolean" | "null";

/** What belongs to which type; a value of another type need not obey it. */
export const keywordsByType: Readonly<Record<JsonType, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties"],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  boolean: [],
  null: [],
};
/** Null for all of them. */
export function typesOf(schema: Schema): readonly JsonType[] | null {
  const { type } = schema;
  if (type !== undefined) {
    const types = [type].flat();
    const unknown = types.find(
      (name) => typeof name !== "string" || !Object.hasOwn(keywordsByType, name),
    );
    if (types.length === 0 || unknown !== undefined) {
      throw new GrammarTextError(`there is no type ${JSON.stringify(unknown ?? type)}`);
    }
    // Integers are numbers: a second alternative would add nothing.
    return (types as JsonType[]).filter((name) => name !== "integer" || !types.includes("number"));
  }
  const [keyword] = Object.keys(schema);
  if (keyword === undefined) return null;
  const matching = (Object.keys(keywordsByType) as JsonType[]).find((name) =>
    keywordsByType[name].includes(keyword),
  );
  return matching === undefined ? null : [matching];
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

export function isListed(list: unknown, value: unknown): boolean {
  const text = JSON.stringify(value);
  return Array.isArray(list) && list.some((item) => JSON.stringify(item) === text);
}

export function countOf(schema: Schema, keyword: string, absent: number): number {
  const value = schema[keyword] ?? absent;
  if (value === absent || (Number.isInteger(value) && (value as number) >= 0)) {
    return value as number;
  }
  throw new GrammarTextError(`${keyword} must be a whole number from 0 on`);
}

export function schemaList(value: unknown, keyword: string): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw new GrammarTextError(`${keyword} must be a list of schemas`);
}

export function schemaListOrEmpty(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new GrammarTextError("prefixItems must be a list of schemas");
}

export function isStringList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

export function present(fields: Schema): Schema {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

export function decodePointer(part: string): string {
  return decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
}
