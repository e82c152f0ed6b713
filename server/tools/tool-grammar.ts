import type { Grammar, GrammarNode } from "../../engine/grammar/grammar.ts";
import { InvalidRequestError } from "../errors.ts";
import { GrammarTextError } from "../structured/grammar-text-error.ts";
import { schemaNode } from "../structured/json-schema.ts";
import { choice, repeated, RuleSet, sequence, toGrammar } from "../structured/nodes.ts";
import { callEnd, callHead, callStart } from "./tool-call-text.ts";
import type { AnyTool, Tool, Tools } from "./tool-schemas.ts";

/** No rule of a form has such a name. */
const rulePrefix = "tool:";

/**
 * Answers with valid calls: nothing but calls where they are required, else any text in which they may come, or text of
 * a form in place of calls.
 * @param form of the text, where it has one
 * @throws InvalidRequestError naming the tool whose parameters cannot be enforced.
 */
export function toolGrammar(
  { list, isRequired, isParallel }: Tools,
  allTools: readonly AnyTool[],
  form: Grammar | null = null,
): Grammar {
  const rules = new RuleSet(rulePrefix);
  const calls = list.map((tool) => callNode(tool, `tools[${allTools.indexOf(tool)}]`, rules));
  const call = rules.add(choice(calls));
  if (!isRequired && form === null) {
    return rules.grammar({
      kind: "triggered",
      trigger: callStart,
      content: call,
      isOnce: !isParallel,
    });
  }
  const more = repeated(sequence("\n", callStart, call), 0, isParallel ? Infinity : 0);
  const onlyCalls = rules.grammar(sequence(callStart, call, more));
  if (isRequired || form === null) return onlyCalls;
  return toGrammar(choice([onlyCalls.root, form.root]), { ...form.rules, ...onlyCalls.rules });
}

/** What follows `callStart`. */
function callNode(
  { function: { name, parameters } }: Tool,
  field: string,
  rules: RuleSet,
): GrammarNode {
  // Arguments are an object, also where the schema does not say so.
  const schema = parameters == null ? noParameters : { type: "object", ...parameters };
  try {
    return sequence(callHead(name), schemaNode(schema, rules), callEnd);
  } catch (error) {
    if (!(error instanceof GrammarTextError)) throw error;
    const param = `${field}.function.parameters${error.path}`;
    throw new InvalidRequestError(`${param}: ${error.message}`, param);
  }
}

const noParameters = { type: "object", additionalProperties: false };
