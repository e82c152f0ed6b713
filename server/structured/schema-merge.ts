import { GrammarTextError } from "./grammar-text-error.ts";

/** A JSON Schema that is no boolean. */
export type Schema = Readonly<Record<string, unknown>>;

/** Keywords that say nothing about values. */
const annotations = new Set(
  (
    "title description default examples example $schema $id $comment $anchor deprecated readOnly writeOnly " +
    "contentEncoding contentMediaType contentSchema discriminator nullable externalDocs xml $defs definitions"
  ).split(" "),
);

export function isAnnotation(keyword: string): boolean {
  return annotations.has(keyword) || keyword.startsWith("x-");
}

export function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The keywords of a schema that say something about values. */
export function constraints(schema: Schema): Schema {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !isAnnotation(key)));
}

/**
 * A schema of the values that both allow.
 * @throws GrammarTextError where two keywords cannot be made one
 */
export function mergeSchemas(a: Schema, b: Schema): Schema {
  const merged: Record<string, unknown> = { ...constraints(a) };
  checkClosed(a, b);
  checkClosed(b, a);
  for (const [keyword, value] of Object.entries(constraints(b))) {
    const other = merged[keyword];
    merged[keyword] = other === undefined ? value : mergeKeyword(keyword, other, value);
  }
  return merged;
}

function mergeKeyword(keyword: string, a: unknown, b: unknown): unknown {
  if (JSON.stringify(a) === JSON.stringify(b)) return a;
  if (Array.isArray(a) && Array.isArray(b)) {
    if (keyword === "required") return [...new Set([...(a as unknown[]), ...(b as unknown[])])];
    if (keyword === "enum" || keyword === "type") {
      const others = b.map((value) => JSON.stringify(value));
      return a.filter((value) => others.includes(JSON.stringify(value)));
    }
  }
  if (keyword === "type") return mergeKeyword(keyword, [a].flat(), [b].flat());
  if (keyword === "properties" && isObject(a) && isObject(b)) {
    const merged: Record<string, unknown> = { ...a };
    for (const [name, value] of Object.entries(b)) {
      const other = merged[name];
      merged[name] = isObject(other) && isObject(value) ? mergeSchemas(other, value) : value;
    }
    return merged;
  }
  if (typeof a === "number" && typeof b === "number") {
    if (keyword.startsWith("min") || keyword === "exclusiveMinimum") return Math.max(a, b);
    if (keyword.startsWith("max") || keyword === "exclusiveMaximum") return Math.min(a, b);
  }
  throw new GrammarTextError(`two values of ${keyword} that cannot be made one`);
}

/** An object that may have its own properties alone must not get others. */
function checkClosed(closed: Schema, other: Schema): void {
  const { additionalProperties, properties } = closed;
  if (additionalProperties === undefined || additionalProperties === true) return;
  const own = isObject(properties) ? properties : {};
  const others = isObject(other["properties"]) ? Object.keys(other["properties"]) : [];
  if (others.some((name) => !Object.hasOwn(own, name))) {
    throw new GrammarTextError("additionalProperties that would also hold for other alternatives");
  }
}
