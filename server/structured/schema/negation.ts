import { inTodaysWords } from "./older-drafts.ts";
import { isAnnotation, isObject, type JsonType, type Schema } from "./schema.ts";

/** Keywords of our own, which no client can send. */
export const excluded = Symbol("values that are not allowed");
export const excludedPattern = Symbol("a pattern that must not match");
export const isFraction = Symbol("a number that is not whole");
/** It names properties without saying that there are no others. */
export const isDerived = Symbol("made here");

export type DerivedSchema = Schema & {
  readonly [excluded]?: readonly unknown[];
  readonly [excludedPattern]?: string;
  readonly [isFraction]?: true;
  readonly [isDerived]?: true;
};

const allTypes = ["object", "array", "string", "number", "boolean", "null"] as const;

/**
 * A schema of the values that another does not allow, as far as the parts of the schema go: what is below them stays a
 * `not`, and so does what a reference refers to.
 * @param resolve - `$ref`s
 * @returns undefined where that cannot be said with a schema
 */
export function negation(schema: unknown, resolve: (ref: unknown) => unknown): unknown {
  if (typeof schema === "boolean") return !schema;
  if (!isObject(schema)) return undefined;
  const alternatives: unknown[] = [];
  const today = inTodaysWords(schema);
  for (const [keyword, value] of Object.entries(today)) {
    if (isAnnotation(keyword)) continue;
    const negated = negatedKeyword(keyword, value, today, resolve);
    if (negated === undefined) return undefined;
    alternatives.push(...negated);
  }
  if (alternatives.length < 2) return alternatives[0] ?? false;
  return { anyOf: alternatives };
}

/** Any of which must hold where the keyword does not. */
function negatedKeyword(
  keyword: string,
  value: unknown,
  schema: Schema,
  resolve: (ref: unknown) => unknown,
): unknown[] | undefined {
  const typed = (type: JsonType, other: Schema | undefined) =>
    other && [{ type, ...other, [isDerived]: true }];
  switch (keyword) {
    case "$ref":
      return [{ not: resolve(value) }];
    case "not":
      return [value];
    case "allOf":
      return Array.isArray(value) ? value.map((part: unknown) => ({ not: part })) : undefined;
    case "anyOf":
      return Array.isArray(value)
        ? [{ allOf: value.map((part: unknown) => ({ not: part })) }]
        : undefined;
    case "type":
      return negatedTypes(value);
    case "const":
      return [{ [excluded]: [value] }];
    case "enum":
      return Array.isArray(value) ? [{ [excluded]: value }] : undefined;
    case "properties":
      return isObject(value)
        ? Object.entries(value).flatMap(([name, property]) =>
            typed("object", { required: [name], properties: { [name]: { not: property } } })!,
          )
        : undefined;
    case "required":
      return Array.isArray(value)
        ? value.flatMap((name) => typed("object", { properties: { [String(name)]: false } })!)
        : undefined;
    case "pattern":
      return typeof value === "string" ? [{ type: "string", [excludedPattern]: value }] : undefined;
    case "minimum":
      return typed("number", { exclusiveMaximum: value });
    case "maximum":
      return typed("number", { exclusiveMinimum: value });
    case "exclusiveMinimum":
      return typed("number", { maximum: value });
    case "exclusiveMaximum":
      return typed("number", { minimum: value });
    case "minLength":
      return typed("string", below("maxLength", value));
    case "maxLength":
      return typed("string", above("minLength", value));
    case "minItems":
      return typed("array", below("maxItems", value));
    case "maxItems":
      return typed("array", above("minItems", value));
    case "minProperties":
      return typed("object", below("maxProperties", value));
    case "maxProperties":
      return typed("object", above("minProperties", value));
    case "additionalProperties":
      return value === true ? [] : undefined;
    case "then":
    case "else":
      return Object.hasOwn(schema, "if") ? undefined : [];
    default:
      return undefined;
  }
}

function below(keyword: string, count: unknown): Schema | undefined {
  if (!Number.isInteger(count)) return undefined;
  return (count as number) > 0 ? { [keyword]: (count as number) - 1 } : { not: {} };
}

function above(keyword: string, count: unknown): Schema | undefined {
  return Number.isInteger(count) ? { [keyword]: (count as number) + 1 } : undefined;
}

function negatedTypes(value: unknown): unknown[] {
  const types: unknown[] = [value].flat();
  const others = allTypes.filter((type) => !types.includes(type));
  const isWhole = types.includes("integer") && !types.includes("number");
  return [
    { type: isWhole ? others.filter((type) => type !== "number") : others },
    ...(isWhole ? [{ type: "number", [isFraction]: true }] : []),
  ].filter(({ type }) => type.length > 0);
}
