import { isObject } from "./schema-merge.ts";
import type { Schema } from "./schema-merge.ts";

/** No value can match two of the schemas, as far as can be seen easily. */
export function areDisjoint(schemas: readonly Schema[]): boolean {
  return schemas.every((schema, i) =>
    schemas.slice(i + 1).every((other) => isApart(schema, other)),
  );
}

function isApart(a: Schema, b: Schema): boolean {
  const [values, others] = [valuesOf(a), valuesOf(b)];
  if (values !== null && others !== null) return !values.some((value) => others.includes(value));
  const [types, otherTypes] = [typesOf(a), typesOf(b)];
  if (types !== null && otherTypes !== null && !types.some((type) => otherTypes.includes(type))) {
    return true;
  }
  if (types?.join() !== "object" || otherTypes?.join() !== "object") return false;
  return propertiesAreApart(a, b) || isClosedTo(a, b) || isClosedTo(b, a);
}

/** Both require a property whose values are not the same. */
function propertiesAreApart(a: Schema, b: Schema): boolean {
  return requiredOf(a).some((name) => {
    const [property, other] = [propertyOf(a, name), propertyOf(b, name)];
    return requiredOf(b).includes(name) && property && other && isApart(property, other);
  });
}

/** One requires what the other does not allow. */
function isClosedTo(closed: Schema, other: Schema): boolean {
  return (
    closed["additionalProperties"] === false &&
    requiredOf(other).some((name) => propertyOf(closed, name) === undefined)
  );
}

function valuesOf(schema: Schema): string[] | null {
  if (schema["const"] !== undefined) return [JSON.stringify(schema["const"])];
  const values = schema["enum"];
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)) : null;
}

function typesOf(schema: Schema): string[] | null {
  const { type } = schema;
  const names =
    type === undefined
      ? valuesOf(schema)?.map((text) => typeOfText(text))
      : [type].flat().map(String);
  return names?.map((name) => (name === "integer" ? "number" : name)) ?? null;
}

function typeOfText(text: string): string {
  const value: unknown = JSON.parse(text);
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function requiredOf(schema: Schema): unknown[] {
  return Array.isArray(schema["required"]) ? (schema["required"] as unknown[]) : [];
}

function propertyOf(schema: Schema, name: unknown): Schema | undefined {
  const properties = schema["properties"];
  if (!isObject(properties) || typeof name !== "string" || !Object.hasOwn(properties, name)) return;
  const property = properties[name];
  return isObject(property) ? property : undefined;
}
