import { z } from "zod";
import { InvalidRequestError } from "../base/errors.ts";
import type { GrammarSource } from "./compile-grammar.ts";

const jsonSchema = z.union([z.record(z.string(), z.unknown()), z.boolean()], {
  error: "expected a JSON Schema",
});
const choices = z.array(z.string().min(1)).min(1).max(10_000);

const responseFormat = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text") }),
    // The schema is llama.cpp's.
    z.object({ type: z.literal("json_object"), schema: jsonSchema.nullish() }),
    z.object({
      type: z.literal("json_schema"),
      json_schema: z.object({
        name: z.string().nullish(),
        description: z.string().nullish(),
        schema: jsonSchema,
        strict: z.boolean().nullish(),
      }),
    }),
  ],
  { error: "expected an object whose type is text, json_object or json_schema" },
);

/** What can be asked of an answer's text, under the names of OpenAI, vLLM and llama.cpp. */
export const structuredFields = {
  response_format: responseFormat.optional(),
  structured_outputs: z
    .object({
      json: z.union([jsonSchema, z.string()]).nullish(),
      regex: z.string().nullish(),
      choice: choices.nullish(),
      grammar: z.string().nullish(),
      json_object: z.boolean().nullish(),
      structural_tag: z.null("structural tags are not supported; use tools").optional(),
    })
    .optional(),
  guided_json: z.union([jsonSchema, z.string()]).optional(),
  guided_regex: z.string().optional(),
  guided_choice: choices.optional(),
  guided_grammar: z.string().optional(),
  json_schema: jsonSchema.optional(),
  grammar: z.string().optional(),
};

export type StructuredBody = z.output<z.ZodObject<typeof structuredFields>>;

/**
 * What a request asks of its answer's form; undefined for any text.
 * @throws InvalidRequestError when it asks twice
 */
export function structuredSource(body: StructuredBody): GrammarSource | undefined {
  const [first, second] = sourcesOf(body);
  if (first === undefined || second === undefined) return first;
  throw new InvalidRequestError(
    `${second.field}: expected one description of the answer, but there is ${first.field} too.`,
    second.field,
  );
}

function sourcesOf(body: StructuredBody): GrammarSource[] {
  const { response_format: format, structured_outputs: outputs } = body;
  const sources: GrammarSource[] = [];
  const schema = (field: string, value: unknown, isStrict = false) => {
    if (value != null) sources.push({ field, kind: "schema", schema: value, isStrict });
  };
  const pattern = (field: string, value: string | null | undefined) => {
    if (value != null) sources.push({ field, kind: "pattern", pattern: value });
  };
  const choice = (field: string, value: readonly string[] | null | undefined) => {
    if (value != null) sources.push({ field, kind: "choice", texts: value });
  };
  const grammar = (field: string, value: string | null | undefined) => {
    if (value != null) sources.push({ field, kind: "grammar", text: value });
  };
  if (format?.type === "json_object") {
    schema("response_format", format.schema ?? { type: "object" });
  }
  if (format?.type === "json_schema") {
    const { schema: value, strict } = format.json_schema;
    schema("response_format.json_schema.schema", value, strict === true);
  }
  schema("structured_outputs.json", outputs?.json);
  pattern("structured_outputs.regex", outputs?.regex);
  choice("structured_outputs.choice", outputs?.choice);
  grammar("structured_outputs.grammar", outputs?.grammar);
  if (outputs?.json_object) schema("structured_outputs.json_object", { type: "object" });
  schema("guided_json", body.guided_json);
  pattern("guided_regex", body.guided_regex);
  choice("guided_choice", body.guided_choice);
  grammar("guided_grammar", body.guided_grammar);
  schema("json_schema", body.json_schema);
  grammar("grammar", body.grammar);
  return sources;
}
