import { isObject, type Schema } from "./schema.ts";

/**
 * A schema in the words of draft 2020-12, whichever draft or OpenAPI it was written for. Null is the same as absent, as
 * generators of schemas take it, where it is no value itself.
 */
export function inTodaysWords(schema: Schema): Schema {
  const today: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (value !== null || keyword === "const") today[keyword] = value;
  }
  renameItems(today);
  renameBounds(today);
  renameDependencies(today);
  requireDiscriminator(today);
  if (today["$recursiveRef"] !== undefined) {
    today["$dynamicRef"] = today["$recursiveRef"];
    delete today["$recursiveRef"];
  }
  const { nullable, ...rest } = today;
  if (nullable === undefined) return rest;
  return nullable === true && Object.keys(rest).length > 0
    ? { anyOf: [rest, { type: "null" }] }
    : rest;
}

/** Lists of items were tuples, and `additionalItems` what comes behind them. */
function renameItems(schema: Record<string, unknown>): void {
  const { items, additionalItems } = schema;
  delete schema["additionalItems"];
  if (!Array.isArray(items)) return;
  delete schema["items"];
  schema["prefixItems"] = items;
  if (additionalItems !== undefined) schema["items"] = additionalItems;
}

/** Whether a bound is excluded was a boolean beside it. */
function renameBounds(schema: Record<string, unknown>): void {
  for (const [bound, exclusive] of [
    ["minimum", "exclusiveMinimum"],
    ["maximum", "exclusiveMaximum"],
  ] as const) {
    const isExclusive = schema[exclusive];
    if (typeof isExclusive !== "boolean") continue;
    delete schema[exclusive];
    if (!isExclusive || schema[bound] === undefined) continue;
    schema[exclusive] = schema[bound];
    delete schema[bound];
  }
}

function renameDependencies(schema: Record<string, unknown>): void {
  const { dependencies } = schema;
  if (!isObject(dependencies)) return;
  delete schema["dependencies"];
  const entries = Object.entries(dependencies);
  const required = entries.filter(([, value]) => Array.isArray(value));
  const schemas = entries.filter(([, value]) => !Array.isArray(value));
  if (required.length > 0) schema["dependentRequired"] = Object.fromEntries(required);
  if (schemas.length > 0) schema["dependentSchemas"] = Object.fromEntries(schemas);
}

/** What OpenAPI tells alternatives apart by is needed for that, also where they leave it open. */
function requireDiscriminator(schema: Record<string, unknown>): void {
  const { discriminator, required = [] } = schema;
  const isUsed = schema["oneOf"] !== undefined || schema["anyOf"] !== undefined;
  const name = isObject(discriminator) ? discriminator["propertyName"] : undefined;
  if (!isUsed || typeof name !== "string" || !Array.isArray(required)) return;
  schema["required"] = [...new Set([...(required as unknown[]), name])];
}
