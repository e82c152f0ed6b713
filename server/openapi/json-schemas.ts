import { z } from "zod";
import { type ParameterTable, supportedInstead } from "../parameters/parameter-table.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

const refPrefix = "#/components/schemas/";

/** Where a named schema is found in the document. */
export function refTo(name: string): JsonSchema {
  return { $ref: `${refPrefix}${name}` };
}

/** Schemas of what clients send, where null means absent: every field that may be absent may be null. */
export function requestSchemas(schemas: Readonly<Record<string, z.ZodType>>) {
  return mapValues(convert(schemas, "input"), allowNulls);
}

/** A request's schema, with the parameters that are known by name and do nothing. */
export function withKnown(schema: JsonSchema, table: ParameterTable): JsonSchema {
  const { properties } = schema as { readonly properties?: JsonSchema };
  const known = Object.entries(table).map(([name, parameter]) => [name, knownSchema(parameter)]);
  return { ...schema, properties: { ...Object.fromEntries(known), ...properties } };
}

function knownSchema(parameter: ParameterTable[string]): JsonSchema {
  if (parameter.kind === "idle") return { description: `Without effect: ${parameter.reason}.` };
  const { neutral, isNeutral } = parameter;
  const description = `Not supported: ${supportedInstead(parameter)}`;
  return isNeutral === undefined ? { description, enum: [...neutral, null] } : { description };
}

/** Schemas of what the server sends. */
export function answerSchemas(schemas: Readonly<Record<string, z.ZodType>>) {
  return convert(schemas, "output");
}

function convert(
  schemas: Readonly<Record<string, z.ZodType>>,
  io: "input" | "output",
): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });
  const { schemas: converted } = z.toJSONSchema(registry, {
    io,
    // What transforms take is told by the metadata of the global registry, which this one stands in for.
    override: ({ zodSchema, jsonSchema }) => {
      Object.assign(jsonSchema, z.globalRegistry.get(zodSchema));
    },
    unrepresentable: "any",
    uri: (id) => `${refPrefix}${id}`,
  });
  return mapValues(converted as Record<string, JsonSchema>, withoutIdentity);
}

/** In the document a schema is known by its place. */
function withoutIdentity(schema: JsonSchema): JsonSchema {
  const kept = Object.entries(schema).filter(([key]) => key !== "$schema" && key !== "$id");
  return Object.fromEntries(kept);
}

function allowNulls(schema: JsonSchema): JsonSchema {
  const { properties, required = [] } = schema as {
    properties?: Record<string, JsonSchema>;
    required?: readonly string[];
  };
  if (properties === undefined) return schema;
  const nullable = Object.entries(properties).map(([name, property]) => [
    name,
    required.includes(name) || Object.keys(property).length === 0 ? property : orNull(property),
  ]);
  return { ...schema, properties: Object.fromEntries(nullable) as Record<string, JsonSchema> };
}

function orNull({ default: value, description, ...schema }: JsonSchema): JsonSchema {
  return {
    ...(description !== undefined && { description }),
    ...(value !== undefined && { default: value }),
    anyOf: [schema, { type: "null" }],
  };
}

function mapValues<T, R>(
  values: Readonly<Record<string, T>>,
  map: (value: T) => R,
): Record<string, R> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value)]));
}
