import type { Conversion } from "./conversion.ts";
import type { Part } from "./parts.ts";
import { isObject, type JsonType, mapOf, namesOf } from "./schema.ts";
import { commonTypes } from "./types.ts";
import { jsonKey } from "./value-check.ts";

/** Of more alternatives it is not looked whether they can be told apart. */
const maxAlternatives = 100;

/** How deep it is looked into properties. */
const maxDepth = 3;

/**
 * No value of one of the grammars matches another of the schemas, as far as can be seen easily.
 * @param owner - of the alternatives, whose own keywords hold beside each
 */
export function areDisjoint(
  owner: Part,
  alternatives: readonly Part[],
  conversion: Pick<Conversion, "parts" | "spend">,
): boolean {
  if (alternatives.length > maxAlternatives) return false;
  const all = alternatives.map((part) => [owner, ...flat([part])]);
  return all.every((parts, i) =>
    all.slice(i + 1).every((others) => isApart(parts, others, conversion, 0)),
  );
}

type Parts = readonly Part[];

function flat(parts: Parts): Part[] {
  const found = new Set(parts);
  for (const part of found) for (const other of part.all) found.add(other);
  return [...found];
}

function isApart(
  a: Parts,
  b: Parts,
  conversion: Pick<Conversion, "parts" | "spend">,
  depth: number,
): boolean {
  conversion.spend(a.length + b.length);
  const [values, others] = [valuesOf(a), valuesOf(b)];
  if (values !== null && others !== null) {
    const known = new Set(others);
    return !values.some((value) => known.has(value));
  }
  const [types, otherTypes] = [typesIn(a), typesIn(b)];
  if (types !== null && otherTypes !== null) {
    if (!types.some((type) => otherTypes.includes(type))) return true;
  }
  if (types?.join() !== "object" || otherTypes?.join() !== "object") return false;
  const required = new Set(requiredOf(b));
  const propertiesAreApart = requiredOf(a).some((name) => {
    if (depth === maxDepth || !required.has(name)) return false;
    const [property, other] = [a, b].map((parts) => propertyOf(parts, name, conversion));
    return isApart(property!, other!, conversion, depth + 1);
  });
  return (
    propertiesAreApart ||
    isClosedTo(a, requiredOf(b)) ||
    isClosedTo(b, requiredOf(a)) ||
    (isSilentTo(a, requiredOf(b)) && isSilentTo(b, requiredOf(a)))
  );
}

/** One requires what no value of the other's grammar has. */
function isSilentTo(parts: Parts, required: readonly string[]): boolean {
  const says = (keyword: string) => parts.some(({ own }) => own[keyword] !== undefined);
  if (!says("properties") || says("additionalProperties") || says("patternProperties")) return false;
  const names = new Set([
    ...parts.flatMap(({ own }) => Object.keys(mapOf(own, "properties"))),
    ...requiredOf(parts),
  ]);
  return required.some((name) => !names.has(name));
}

/** One requires what the other does not allow. */
function isClosedTo(closed: Parts, required: readonly string[]): boolean {
  return closed.some(
    ({ own }) =>
      own["additionalProperties"] === false &&
      own["patternProperties"] === undefined &&
      required.some((name) => !Object.hasOwn(mapOf(own, "properties"), name)),
  );
}

function valuesOf(parts: Parts): string[] | null {
  for (const { own } of parts) {
    if (own["const"] !== undefined) return [jsonKey(own["const"])];
    if (Array.isArray(own["enum"])) return own["enum"].map(jsonKey);
  }
  return null;
}

function typesIn(parts: Parts): JsonType[] | null {
  const types = commonTypes(parts) ?? valuesOf(parts)?.map((text) => typeOfValue(JSON.parse(text)));
  return types?.map((type) => (type === "integer" ? "number" : type)) ?? null;
}

function typeOfValue(value: unknown): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return isObject(value) ? "object" : (typeof value as "string" | "number" | "boolean");
}

function requiredOf(parts: Parts): string[] {
  return parts.flatMap(({ own }) => namesOf(own, "required"));
}

function propertyOf(
  parts: Parts,
  name: string,
  conversion: Pick<Conversion, "parts" | "spend">,
): Part[] {
  const own = parts.flatMap((part) => {
    const properties = mapOf(part.own, "properties");
    return Object.hasOwn(properties, name)
      ? [conversion.parts.read(properties[name], `${part.path}.properties.${name}`, part.base)]
      : [];
  });
  return flat(own);
}
