import type { Grammar, GrammarNode } from "../../engine/grammar/grammar.ts";
import { RuleSet } from "./nodes.ts";
import { SchemaConverter } from "./schema/converter.ts";

export interface SchemaOptions {
  /** All of the schema must be enforced; else what cannot be is left out. */
  readonly isStrict: boolean;
}

/** A grammar, and paths of what it does not enforce of its source, as `.properties.name.contains`. */
export interface PartGrammar {
  readonly grammar: Grammar;
  readonly unenforced: readonly string[];
}

/** As `PartGrammar`, as a part of a larger grammar. */
export interface SchemaNode {
  readonly node: GrammarNode;
  readonly unenforced: readonly string[];
}

/**
 * A grammar of values that a JSON Schema allows, written as `json.dumps` would. Not all of them: properties come in
 * the order of the schema, and objects with named properties have no others unless `additionalProperties` says so.
 * @throws GrammarTextError
 */
export function schemaGrammar(schema: unknown, options: SchemaOptions): PartGrammar {
  const rules = new RuleSet();
  const { node, unenforced } = schemaNode(schema, rules, options);
  return { grammar: rules.grammar(node), unenforced };
}

/** As `schemaGrammar`, as a part of a larger grammar. */
export function schemaNode(
  schema: unknown,
  rules: RuleSet,
  { isStrict }: SchemaOptions,
): SchemaNode {
  const converter = new SchemaConverter(schema, { rules, isStrict });
  const node = converter.convert(schema);
  return { node, unenforced: [...converter.unenforced] };
}
