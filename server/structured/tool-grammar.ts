import { InvalidRequestError } from "../base/errors.ts";
import { GrammarTextError } from "./grammar-text-error.ts";
import { type PartGrammar, schemaNode, type SchemaNode } from "./json-schema.ts";
import { choice, repeated, RuleSet, sequence, toGrammar } from "./nodes.ts";
import { isAnnotation } from "./schema/schema.ts";
import { callEnd, callHead, callStart } from "../tools/tool-call-text.ts";
import type { AnyTool, Tool, Tools } from "../tools/tool-schemas.ts";

/** No rule of a form has such a name. */
const rulePrefix = "tool:";

/**
 * Answers with valid calls: nothing but calls where they are required, else any text in which they may come, or text of
 * a form in place of calls.
 * @param allTools - of which the others may not be called
 * @param form of the text, where it has one
 * @throws InvalidRequestError naming the tool whose parameters cannot be enforced.
 */
export function toolGrammar(
  { list, isRequired, isParallel }: Tools,
  allTools: readonly AnyTool[],
  form: PartGrammar | null = null,
): PartGrammar {
  const rules = new RuleSet(rulePrefix);
  const calls = list.map((tool) => {
    const field = `tools[${allTools.indexOf(tool)}].function.parameters`;
    const { node, unenforced } = argumentsNode(tool, field, rules);
    return {
      node: sequence(callHead(tool.function.name), node, callEnd),
      unenforced: unenforced.map((path) => field + path),
    };
  });
  const call = rules.add(choice(calls.map(({ node }) => node)));
  const ofCalls = calls.flatMap(({ unenforced }) => unenforced);
  if (!isRequired && form === null) {
    const grammar = rules.grammar({
      kind: "triggered",
      trigger: callStart,
      content: call,
      isOnce: !isParallel,
    });
    return { grammar, unenforced: ofCalls };
  }
  const more = repeated(sequence("\n", callStart, call), 0, isParallel ? Infinity : 0);
  const onlyCalls = rules.grammar(sequence(callStart, call, more));
  if (isRequired || form === null) return { grammar: onlyCalls, unenforced: ofCalls };
  const { grammar } = form;
  return {
    grammar: toGrammar(choice([onlyCalls.root, grammar.root]), {
      ...grammar.rules,
      ...onlyCalls.rules,
    }),
    unenforced: [...ofCalls, ...form.unenforced],
  };
}

function argumentsNode(
  { function: { parameters, strict } }: Tool,
  field: string,
  rules: RuleSet,
): SchemaNode {
  try {
    return schemaNode(argumentsSchema(parameters ?? {}), rules, { isStrict: strict === true });
  } catch (error) {
    if (!(error instanceof GrammarTextError)) throw error;
    const param = field + error.path;
    throw new InvalidRequestError(`${param}: ${error.message}`, param);
  }
}

/** Arguments are an object, also where the schema does not say so, and nothing in it where it says nothing of them. */
function argumentsSchema(parameters: Readonly<Record<string, unknown>>): object {
  const saysNothing = Object.keys(parameters).every(
    (keyword) => keyword === "type" || isAnnotation(keyword),
  );
  return {
    ...parameters,
    type: "object",
    ...(saysNothing && { additionalProperties: false }),
  };
}
