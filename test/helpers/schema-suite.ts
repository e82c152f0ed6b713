import { readFileSync } from "node:fs";

/** One schema of the JSON-Schema-Test-Suite, with values that it allows or does not. */
export interface SuiteGroup {
  readonly draft: string;
  /** Name of the file, which is mostly a keyword. */
  readonly keyword: string;
  readonly description: string;
  readonly schema: unknown;
  readonly tests: readonly {
    readonly description: string;
    readonly data: unknown;
    readonly valid: boolean;
  }[];
}

/** The suite's required tests of a draft, as the package `jsonschema` 4.26.0 of Python ships them. */
export function suiteGroups(draft: "draft2020-12" | "draft7"): SuiteGroup[] {
  const path = `test/fixtures/json-schema-test-suite/${draft}.json`;
  const files = JSON.parse(readFileSync(path, "utf8")) as Record<string, SuiteGroup[]>;
  return Object.entries(files).flatMap(([keyword, groups]) =>
    groups.map((group) => ({ ...group, draft, keyword })),
  );
}

const schemaKeywords = new Set(
  (
    "additionalItems additionalProperties contains else if items not propertyNames then unevaluatedItems " +
    "unevaluatedProperties allOf anyOf oneOf prefixItems"
  ).split(" "),
);
const mapKeywords = new Set(
  "$defs definitions dependencies dependentSchemas patternProperties properties".split(" "),
);

const allTypes = ["object", "array", "string", "number", "boolean", "null"];

/**
 * The same schema with what the server would take from its silence said: that a value without a type may have any,
 * that there may be other properties, and that formats say nothing.
 */
export function outspoken(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(outspoken);
  if (typeof schema !== "object" || schema === null) return schema;
  const { format, ...said } = schema as Record<string, unknown>;
  void format;
  const entries = Object.entries(said).map(([keyword, value]) => {
    if (schemaKeywords.has(keyword)) return [keyword, outspoken(value)];
    if (!mapKeywords.has(keyword) || typeof value !== "object" || value === null) {
      return [keyword, value];
    }
    return [
      keyword,
      Object.fromEntries(
        Object.entries(value).map(([name, item]) => [
          name,
          // Names of properties, not schemas.
          keyword === "dependencies" && Array.isArray(item) ? item : outspoken(item),
        ]),
      ),
    ];
  });
  return {
    type: allTypes,
    ...(!("unevaluatedProperties" in said) && { additionalProperties: true }),
    ...(Object.fromEntries(entries) as object),
  };
}

/** A value with the properties of its objects in all orders, as far as those are not too many. */
export function* inAllOrders(value: unknown): Iterable<unknown> {
  if (Array.isArray(value)) {
    yield* combinations(value.map((item) => [...inAllOrders(item)]));
  } else if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    for (const order of permutations(entries)) {
      const values = order.map(([, item]) => [...inAllOrders(item)]);
      for (const items of combinations(values)) {
        yield Object.fromEntries(order.map(([name], i) => [name, items[i]]));
      }
    }
  } else yield value;
}

function* permutations<Item>(items: readonly Item[]): Iterable<Item[]> {
  if (items.length === 0 || items.length > 5) {
    yield [...items];
    return;
  }
  for (const [i, item] of items.entries()) {
    for (const rest of permutations(items.toSpliced(i, 1))) yield [item, ...rest];
  }
}

function* combinations(choices: readonly (readonly unknown[])[]): Iterable<unknown[]> {
  const [first, ...others] = choices;
  if (first === undefined) {
    yield [];
    return;
  }
  for (const item of first) for (const rest of combinations(others)) yield [item, ...rest];
}
