import { GrammarError } from "../../engine/contract/errors.ts";
import type { Automaton } from "../../engine/contract/automaton.ts";
import { buildAutomaton } from "../../engine/grammar/automaton.ts";
import type { Grammar } from "../../engine/grammar/grammar.ts";
import { Positions } from "../../engine/grammar/positions.ts";
import { InvalidRequestError } from "../base/errors.ts";
import { behindReasoning } from "./behind-reasoning.ts";
import { toolGrammar } from "./tool-grammar.ts";
import type { ToolCallFormatName } from "../tools/tool-call-format.ts";
import { toolCallFormats } from "../tools/tool-call-formats.ts";
import type { AnyTool, Tools } from "../tools/tool-schemas.ts";
import { GrammarTextError } from "./grammar-text-error.ts";
import { parseGrammarText } from "./grammar-text.ts";
import { type PartGrammar, schemaGrammar } from "./json-schema.ts";
import { choice, text, toGrammar } from "./nodes.ts";
import { patternGrammar } from "./pattern.ts";

/** What a client has said of an answer's form, and in which field. */
export type GrammarSource = { readonly field: string } & (
  | { readonly kind: "schema"; readonly schema: unknown; readonly isStrict: boolean }
  | { readonly kind: "pattern"; readonly pattern: string }
  | { readonly kind: "choice"; readonly texts: readonly string[] }
  | { readonly kind: "grammar"; readonly text: string }
  | {
      readonly kind: "tools";
      readonly tools: Tools;
      readonly all: readonly AnyTool[];
      /** Of text in place of calls. */
      readonly form?: GrammarSource;
      /** How the model writes calls. @default hermes */
      readonly format?: ToolCallFormatName;
      /** The model may think first, or does already. @default null */
      readonly reasoning?: { readonly isOpen: boolean } | null;
    }
);

/** What an answer is held to. */
export interface EnforcedGrammar {
  readonly grammar: Automaton;
  /** Parts of the source that the grammar does not enforce, as `tools[0].function.parameters.properties.a.contains`. */
  readonly unenforced: readonly string[];
}

/** What is wrong with a description, and the field that says it. */
interface GrammarProblem {
  readonly problem: string;
  readonly param: string | null;
}

/** A grammar that the engine takes, or what is wrong with its source: values that can be cloned. */
export type CompiledGrammar = EnforcedGrammar | GrammarProblem;

/** Never throws for what a client has written. */
export function compileGrammar(source: GrammarSource): CompiledGrammar {
  try {
    const { grammar: made, unenforced } = grammarOf(source);
    const grammar = buildAutomaton(made);
    checkStart(grammar);
    return { grammar, unenforced };
  } catch (error) {
    return problemOf(error, source.field);
  }
}

/** @throws what is no fault of the client */
function problemOf(error: unknown, field: string): GrammarProblem {
  if (error instanceof RangeError) return { problem: `${field}: nested too deeply.`, param: field };
  if (error instanceof InvalidRequestError) return { problem: error.message, param: error.param };
  if (!(error instanceof GrammarTextError || error instanceof GrammarError)) throw error;
  const param = error instanceof GrammarTextError ? field + error.path : field;
  return { problem: `${param}: ${error.message}`, param };
}

/** @throws GrammarError when the engine would fail at the first token */
function checkStart(grammar: Automaton): void {
  let numStacks = 0;
  new Positions(grammar, () => ++numStacks).start();
}

/** @throws GrammarTextError, InvalidRequestError */
function grammarOf(source: GrammarSource): PartGrammar {
  const whole = (grammar: Grammar) => ({ grammar, unenforced: [] });
  switch (source.kind) {
    case "schema": {
      const { schema, field } = source;
      const made = schemaGrammar(typeof schema === "string" ? parsed(schema) : schema, source);
      return { ...made, unenforced: made.unenforced.map((path) => field + path) };
    }
    case "pattern":
      return whole(toGrammar(patternGrammar(source.pattern)));
    case "choice":
      return whole(toGrammar(choice(source.texts.map(text))));
    case "grammar":
      return whole(parseGrammarText(source.text));
    case "tools": {
      const { tools, all, form, format = "hermes", reasoning = null } = source;
      const made = toolGrammar(tools, all, form ? formOf(form) : null, toolCallFormats[format]);
      if (reasoning === null) return made;
      return { ...made, grammar: behindReasoning(made.grammar, reasoning.isOpen) };
    }
  }
}

/** @throws InvalidRequestError naming the form's own field */
function formOf(source: GrammarSource): PartGrammar {
  try {
    return grammarOf(source);
  } catch (error) {
    const { problem, param } = problemOf(error, source.field);
    throw new InvalidRequestError(problem, param);
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
