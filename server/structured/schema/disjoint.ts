import type { Part, Parts } from "./parts.ts";
import { isObject, type JsonType, listOf, mapOf, namesOf } from "./schema.ts";
import { commonTypes } from "./types.ts";
import { jsonKey } from "./value-check.ts";

/** Looks at schemas and listed values; what takes more counts as not told apart. */
const maxWork = 20_000;

/** How deep it is looked into properties. */
const maxDepth = 3;

/**
 * No value of one of the grammars matches another of the schemas, as far as can be seen easily.
 * @param owner - of the alternatives, whose own keywords hold beside each
 */
export function areDisjoint(owner: Part, alternatives: readonly Part[], parts: Parts): boolean {
  return new DisjointCheck(parts).areApart(alternatives.map((part) => [owner, ...flat([part])]));
}

class DisjointCheck {
  readonly #parts: Parts;
  #work = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  areApart(all: readonly (readonly Part[])[]): boolean {
    return all.every((parts, i) => {
      for (let j = i + 1; j < all.length; j++) if (!this.#isApart(parts, all[j]!, 0)) return false;
      return true;
    });
  }

  #isApart(a: readonly Part[], b: readonly Part[], depth: number): boolean {
    this.#work += a.length + b.length + numListed(a) + numListed(b);
    if (this.#work > maxWork) return false;
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
    const [required, otherRequired] = [requiredOf(a), requiredOf(b)];
    return (
      this.#propertiesAreApart(a, b, depth) ||
      isClosedTo(a, otherRequired) ||
      isClosedTo(b, required) ||
      (isSilentTo(a, otherRequired) && isSilentTo(b, required))
    );
  }

  /** Both require a property whose values are not the same. */
  #propertiesAreApart(a: readonly Part[], b: readonly Part[], depth: number): boolean {
    if (depth === maxDepth) return false;
    const required = new Set(requiredOf(b));
    return requiredOf(a).some((name) => {
      if (!required.has(name)) return false;
      return this.#isApart(this.#propertyOf(a, name), this.#propertyOf(b, name), depth + 1);
    });
  }

  #propertyOf(parts: readonly Part[], name: string): Part[] {
    const own = parts.flatMap((part) => {
      const properties = mapOf(part.own, "properties");
      return Object.hasOwn(properties, name)
        ? [this.#parts.read(properties[name], `${part.path}.properties.${name}`, part.base)]
        : [];
    });
    return flat(own);
  }
}

function flat(parts: readonly Part[]): Part[] {
  const found = new Set(parts);
  for (const part of found) for (const other of part.all) found.add(other);
  return [...found];
}

function numListed(parts: readonly Part[]): number {
  return parts.reduce((sum, { own }) => sum + (listOf(own, "enum")?.length ?? 0), 0);
}

/** One requires what no value of the other's grammar has. */
function isSilentTo(parts: readonly Part[], required: readonly string[]): boolean {
  const says = (keyword: string) => parts.some(({ own }) => own[keyword] !== undefined);
  if (!says("properties") || says("additionalProperties") || says("patternProperties"))
    return false;
  const names = new Set([
    ...parts.flatMap(({ own }) => Object.keys(mapOf(own, "properties"))),
    ...requiredOf(parts),
  ]);
  return required.some((name) => !names.has(name));
}

/** One requires what the other does not allow. */
function isClosedTo(closed: readonly Part[], required: readonly string[]): boolean {
  return closed.some(
    ({ own }) =>
      own["additionalProperties"] === false &&
      own["patternProperties"] === undefined &&
      required.some((name) => !Object.hasOwn(mapOf(own, "properties"), name)),
  );
}

function valuesOf(parts: readonly Part[]): string[] | null {
  for (const { own } of parts) {
    if (own["const"] !== undefined) return [jsonKey(own["const"])];
    if (Array.isArray(own["enum"])) return own["enum"].map(jsonKey);
  }
  return null;
}

function typesIn(parts: readonly Part[]): JsonType[] | null {
  const types = commonTypes(parts) ?? valuesOf(parts)?.map((text) => typeOfValue(JSON.parse(text)));
  return types?.map((type) => (type === "integer" ? "number" : type)) ?? null;
}

function typeOfValue(value: unknown): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return isObject(value) ? "object" : (typeof value as "string" | "number" | "boolean");
}

function requiredOf(parts: readonly Part[]): string[] {
  return parts.flatMap(({ own }) => namesOf(own, "required"));
}
