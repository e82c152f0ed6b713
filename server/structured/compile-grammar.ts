import { GrammarError } from "../../engine/errors.ts";
import { type Automaton, buildAutomaton } from "../../engine/grammar/automaton.ts";
import type { Grammar } from "../../engine/grammar/grammar.ts";
import { Positions } from "../../engine/grammar/positions.ts";
import { InvalidRequestError } from "../errors.ts";
import { toolGrammar } from "../tools/tool-grammar.ts";
import type { Tool, Tools } from "../tools/tool-schemas.ts";
import { GrammarTextError } from "./grammar-text-error.ts";
import { parseGrammarText } from "./grammar-text.ts";
import { schemaGrammar } from "./json-schema.ts";
import { choice, text, toGrammar } from "./nodes.ts";
import { patternGrammar } from "./pattern.ts";

/** What a client has said of an answer's form, and in which field. */
export type GrammarSource = { readonly field: string } & (
  | { readonly kind: "schema"; readonly schema: unknown }
  | { readonly kind: "pattern"; readonly pattern: string }
  | { readonly kind: "choice"; readonly texts: readonly string[] }
  | { readonly kind: "grammar"; readonly text: string }
  | { readonly kind: "tools"; readonly tools: Tools; readonly all: readonly Tool[] }
);

/** A grammar that the engine takes, or what is wrong with its source: values that can be cloned. */
export type CompiledGrammar =
  { readonly grammar: Automaton } | { readonly problem: string; readonly param: string | null };

/** Never throws for what a client has written. */
export function compileGrammar(source: GrammarSource): CompiledGrammar {
  const { field } = source;
  try {
    const grammar = buildAutomaton(grammarOf(source));
    checkStart(grammar);
    return { grammar };
  } catch (error) {
    if (error instanceof RangeError)
      return { problem: `${field}: nested too deeply.`, param: field };
    if (error instanceof InvalidRequestError) return { problem: error.message, param: error.param };
    if (!(error instanceof GrammarTextError || error instanceof GrammarError)) throw error;
    const param = error instanceof GrammarTextError ? field + error.path : field;
    return { problem: `${param}: ${error.message}`, param };
  }
}

/** @throws GrammarError when the engine would fail at the first token */
function checkStart(grammar: Automaton): void {
  let numStacks = 0;
  new Positions(grammar, () => ++numStacks).start();
}

/** @throws GrammarTextError, InvalidRequestError */
function grammarOf(source: GrammarSource): Grammar {
  switch (source.kind) {
    case "schema":
      return schemaGrammar(
        typeof source.schema === "string" ? parsed(source.schema) : source.schema,
      );
    case "pattern":
      return toGrammar(patternGrammar(source.pattern, { isInJson: false }));
    case "choice":
      return toGrammar(choice(source.texts.map(text)));
    case "grammar":
      return parseGrammarText(source.text);
    case "tools":
      return toolGrammar(source.tools, source.all);
  }
}

/** vLLM takes a schema as an object or as its text. */
function parsed(schema: string): unknown {
  try {
    return JSON.parse(schema);
  } catch {
    throw new GrammarTextError("expected a JSON Schema");
  }
}
