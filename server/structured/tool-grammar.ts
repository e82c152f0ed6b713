import type { GrammarNode } from "../../engine/grammar/grammar.ts";
import { InvalidRequestError } from "../base/errors.ts";
import { GrammarTextError } from "./grammar-text-error.ts";
import { guardedText } from "./guarded-text.ts";
import { type PartGrammar, schemaNode, type SchemaNode } from "./json-schema.ts";
import { choice, repeated, RuleSet, sequence, toGrammar } from "./nodes.ts";
import { isAnnotation } from "./schema/schema.ts";
import type { ToolCallFormat } from "../tools/tool-call-format.ts";
import { toolCallFormats } from "../tools/tool-call-formats.ts";
import type { AnyTool, Tool, Tools } from "../tools/tool-schemas.ts";

/** No rule of a form has such a name. */
const rulePrefix = "tool:";

/**
 * Answers with valid calls: nothing but calls where they are required, else any text in which they may come, or text of
 * a form in place of calls.
 * @param allTools - of which the others may not be called
 * @param form of the text, where it has one
 * @param format how the model writes calls
 * @throws InvalidRequestError naming the tool whose parameters cannot be enforced.
 */
export function toolGrammar(
  { list, isRequired, isParallel }: Tools,
  allTools: readonly AnyTool[],
  form: PartGrammar | null = null,
  format: ToolCallFormat = toolCallFormats.hermes,
): PartGrammar {
  const rules = new RuleSet(rulePrefix);
  const calls = list.map((tool) => {
    const field = `tools[${allTools.indexOf(tool)}].function.parameters`;
    const { node, unenforced } = argumentsNode(tool, field, rules);
    return {
      head: format.head(tool.function.name),
      rest: sequence(node, format.end),
      unenforced: unenforced.map((path) => field + path),
    };
  });
  const call = rules.add(choice(calls.map(({ head, rest }) => sequence(head, rest))));
  const { starts, between } = format;
  const [start] = starts;
  const more = repeated(sequence(between, start, call), 0, isParallel ? Infinity : 0);
  const ofCalls = calls.flatMap(({ unenforced }) => unenforced);
  if (!isRequired && form === null) {
    const guards = starts.flatMap((begin) =>
      calls.map(({ head, rest }) => ({ start: begin + head, rest: sequence(rest, more) })),
    );
    const root: GrammarNode = format.isInText
      ? { kind: "triggered", trigger: start, content: call, isOnce: !isParallel }
      : guardedText(guards, rules);
    return { grammar: rules.grammar(root), unenforced: ofCalls };
  }
  const first = choice(starts.map((begin) => sequence(begin, call)));
  const onlyCalls = rules.grammar(sequence(first, more));
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
