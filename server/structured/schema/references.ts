import { GrammarTextError } from "../grammar-text-error.ts";
import { isObject, type Schema } from "./schema.ts";

/** A schema somewhere in a document, and what its references are relative to. */
export interface Located {
  readonly schema: unknown;
  readonly base: string;
}

/** Of documents that do not say. */
const defaultBase = "schema:///";

const schemaKeywords = new Set(
  (
    "additionalItems additionalProperties contains contentSchema else if items not propertyNames then " +
    "unevaluatedItems unevaluatedProperties allOf anyOf oneOf prefixItems"
  ).split(" "),
);
const mapKeywords = new Set(
  "$defs definitions dependencies dependentSchemas patternProperties properties".split(" "),
);

/** What the references in a schema can refer to: places of itself. */
export class References {
  /** Where a schema has a base of its own. */
  readonly #bases = new Map<Schema, string>();
  readonly #resources = new Map<string, unknown>();
  /** By base and name. */
  readonly #anchors = new Map<string, Located>();
  /** How often each name is there. */
  readonly #dynamicAnchors = new Map<string, number>();

  constructor(root: unknown) {
    this.#resources.set(defaultBase, root);
    const open: Located[] = [{ schema: root, base: defaultBase }];
    for (let next = open.pop(); next !== undefined; next = open.pop()) this.#index(next, open);
  }

  /** @param inherited - of the schema around it */
  baseOf(schema: Schema, inherited: string): string {
    return this.#bases.get(schema) ?? inherited;
  }

  /** @throws GrammarTextError where there is nothing of the kind */
  find(reference: unknown, base: string): Located {
    const shown = JSON.stringify(reference);
    if (typeof reference !== "string") {
      throw new GrammarTextError(`$ref must be a string (got ${shown})`);
    }
    const hash = reference.indexOf("#");
    const [location, fragment] =
      hash < 0 ? [reference, ""] : [reference.slice(0, hash), reference.slice(hash + 1)];
    const target = location === "" ? base : resolved(location, base);
    if (target === null || !this.#resources.has(target)) {
      throw new GrammarTextError(`$ref ${shown} refers to no part of this schema`);
    }
    const name = decoded(fragment);
    if (name === null) throw new GrammarTextError(`$ref ${shown} is no valid URI`);
    const found =
      name === "" || name.startsWith("/")
        ? this.#follow(name, { schema: this.#resources.get(target), base: target })
        : this.#anchors.get(`${target}#${name}`);
    if (found?.schema === undefined) throw new GrammarTextError(`$ref ${shown} refers to nothing`);
    return found;
  }

  /** Whether the reference means what a plain one does: nothing else has its name. */
  isStatic(reference: unknown): boolean {
    const name = typeof reference === "string" ? decoded(reference.split("#")[1] ?? "") : null;
    return (this.#dynamicAnchors.get(name ?? "") ?? 0) <= 1;
  }

  #follow(pointer: string, { schema, base: start }: Located): Located {
    let [target, base] = [schema, start];
    for (const part of pointer.split("/").slice(1)) {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const isIn = typeof target === "object" && target !== null && Object.hasOwn(target, key);
      target = isIn ? (target as Schema)[key] : undefined;
      if (isObject(target)) base = this.baseOf(target, base);
    }
    return { schema: target, base };
  }

  #index({ schema, base: inherited }: Located, open: Located[]): void {
    if (!isObject(schema)) return;
    const { $id, $anchor, $dynamicAnchor, $recursiveAnchor } = schema;
    let base = inherited;
    if (typeof $id === "string") {
      // Before draft 2019-09 a name was written as an id.
      if ($id.startsWith("#")) this.#anchors.set(base + $id, { schema, base });
      else base = resolved($id, inherited) ?? inherited;
    }
    if (base !== inherited) this.#resources.set(base, schema);
    this.#bases.set(schema, base);
    if ($recursiveAnchor === true) this.#dynamicAnchors.set("", this.#countOf("") + 1);
    for (const name of [$anchor, $dynamicAnchor]) {
      if (typeof name === "string") this.#anchors.set(`${base}#${name}`, { schema, base });
    }
    if (typeof $dynamicAnchor === "string") {
      this.#dynamicAnchors.set($dynamicAnchor, this.#countOf($dynamicAnchor) + 1);
    }
    for (const [keyword, value] of Object.entries(schema)) {
      if (schemaKeywords.has(keyword)) {
        for (const item of [value].flat()) open.push({ schema: item, base });
      } else if (mapKeywords.has(keyword) && isObject(value)) {
        for (const item of Object.values(value)) open.push({ schema: item, base });
      }
    }
  }

  #countOf(dynamicAnchor: string): number {
    return this.#dynamicAnchors.get(dynamicAnchor) ?? 0;
  }
}

/** Without a fragment; null where it is no URI. */
function resolved(reference: string, base: string): string | null {
  if (!URL.canParse(reference, base)) return null;
  const uri = new URL(reference, base);
  uri.hash = "";
  return uri.href;
}

function decoded(fragment: string): string | null {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return null;
  }
}
