import { z } from "zod";
import { buildAutomaton } from "../../engine/grammar/automaton.ts";
import { GrammarError } from "../../engine/errors.ts";
import type { Grammar } from "../../engine/grammar/grammar.ts";
import { InvalidRequestError } from "../errors.ts";
import { parseGrammarText } from "./grammar-text.ts";
import { GrammarTextError } from "./grammar-text-error.ts";
import { schemaGrammar } from "./json-schema.ts";
import { choice, text, toGrammar } from "./nodes.ts";
import { patternGrammar } from "./pattern.ts";

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
 * The grammar that a request asks for; undefined for any text.
 * @throws InvalidRequestError naming the field that cannot be enforced, or when there are two.
 */
export function structuredGrammar(body: StructuredBody): Grammar | undefined {
  const wishes = wishesOf(body);
  const [first, second] = wishes;
  if (first === undefined) return undefined;
  if (second !== undefined) {
    throw new InvalidRequestError(
      `${second.field}: expected one description of the answer, but there is ${first.field} too.`,
      second.field,
    );
  }
  return checkedGrammar(first.field, first.make);
}

/** @throws InvalidRequestError naming the field where there is no such grammar, or none that can be enforced. */
export function checkedGrammar(field: string, make: () => Grammar): Grammar {
  try {
    const grammar = make();
    buildAutomaton(grammar);
    return grammar;
  } catch (error) {
    if (error instanceof RangeError) {
      throw new InvalidRequestError(`${field}: nested too deeply.`, field);
    }
    if (!(error instanceof GrammarTextError || error instanceof GrammarError)) throw error;
    const param = error instanceof GrammarTextError ? field + error.path : field;
    throw new InvalidRequestError(`${param}: ${error.message}`, param);
  }
}

interface Wish {
  readonly field: string;
  readonly make: () => Grammar;
}

function wishesOf(body: StructuredBody): Wish[] {
  const { response_format: format, structured_outputs: outputs } = body;
  const wishes: Wish[] = [];
  const wish = <Value>(
    field: string,
    value: Value | null | undefined,
    make: (value: Value) => Grammar,
  ) => {
    if (value != null) wishes.push({ field, make: () => make(value) });
  };
  if (format?.type === "json_object") {
    wish("response_format", format.schema ?? { type: "object" }, schemaGrammar);
  }
  if (format?.type === "json_schema") {
    wish("response_format.json_schema.schema", format.json_schema.schema, schemaGrammar);
  }
  wish("structured_outputs.json", outputs?.json, textSchemaGrammar);
  wish("structured_outputs.regex", outputs?.regex, regexGrammar);
  wish("structured_outputs.choice", outputs?.choice, choiceGrammar);
  wish("structured_outputs.grammar", outputs?.grammar, parseGrammarText);
  wish("structured_outputs.json_object", outputs?.json_object || undefined, () =>
    schemaGrammar({ type: "object" }),
  );
  wish("guided_json", body.guided_json, textSchemaGrammar);
  wish("guided_regex", body.guided_regex, regexGrammar);
  wish("guided_choice", body.guided_choice, choiceGrammar);
  wish("guided_grammar", body.guided_grammar, parseGrammarText);
  wish("json_schema", body.json_schema, schemaGrammar);
  wish("grammar", body.grammar, parseGrammarText);
  return wishes;
}

/** vLLM takes a schema as an object or as its text. */
function textSchemaGrammar(schema: unknown): Grammar {
  if (typeof schema !== "string") return schemaGrammar(schema);
  let parsed: unknown;
  try {
    parsed = JSON.parse(schema);
  } catch {
    throw new GrammarTextError("expected a JSON Schema");
  }
  return schemaGrammar(parsed);
}

function regexGrammar(pattern: string): Grammar {
  return toGrammar(patternGrammar(pattern, { isInJson: false }));
}

function choiceGrammar(texts: readonly string[]): Grammar {
  return toGrammar(choice(texts.map(text)));
}
