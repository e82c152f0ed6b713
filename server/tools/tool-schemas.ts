import { z } from "zod";
import { InvalidRequestError, quote, UnsupportedParameterError } from "../base/errors.ts";
import { requestLimits } from "../base/request-limits.ts";
import { type ForeignTool, functionOrForeign } from "./foreign-tools.ts";

const toolName = z
  .string()
  .regex(/^[\w.-]{1,64}$/, "expected 1 to 64 letters, digits, underscores, hyphens and dots");

const tool = z.object({
  type: z.literal("function"),
  function: z.object({
    name: toolName,
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
    strict: z.boolean().nullish(),
  }),
});

const chosenFunction = z.object({
  type: z.literal("function"),
  function: z.object({ name: z.string() }),
});

const toolChoice = z.union(
  [
    // Mistral's any is OpenAI's required.
    z.enum(["none", "auto", "required", "any"]),
    chosenFunction,
    z.object({
      type: z.literal("allowed_tools"),
      allowed_tools: z.object({
        mode: z.enum(["auto", "required"]),
        tools: z.array(chosenFunction).max(requestLimits.tools),
      }),
    }),
    z
      .object({ type: z.string().regex(/^(?!(function|allowed_tools)$)/) })
      .transform(({ type }) => ({ type: "foreign" as const, name: type })),
  ],
  { error: "expected none, auto, required or an object that names a function" },
);

export const toolFields = {
  tools: z.array(functionOrForeign(tool)).max(requestLimits.tools).default([]),
  /** Absent: auto where there are tools. */
  tool_choice: toolChoice.optional(),
  parallel_tool_calls: z.boolean().default(true),
};

/** A call in the history, with the arguments as a JSON text or, from some clients, as JSON. */
export const toolCall = z.object({
  id: z.string().max(requestLimits.nameCharacters).nullish(),
  type: z.literal("function").nullish(),
  function: z.object({
    name: z.string().max(requestLimits.nameCharacters),
    arguments: z.union([z.string(), z.record(z.string(), z.unknown())]).default("{}"),
  }),
});

type ToolBody = z.output<z.ZodObject<typeof toolFields>>;

export type Tool = z.output<typeof tool>;
export type AnyTool = Tool | ForeignTool;
export type ToolCall = z.output<typeof toolCall>;

/** The tools that an answer may or must call. */
export interface Tools {
  readonly list: readonly Tool[];
  /** Without text beside the calls. */
  readonly isRequired: boolean;
  /** More than one call in one answer. */
  readonly isParallel: boolean;
}

/**
 * Null where no tool may be called.
 * @throws InvalidRequestError when a name is there twice, or the choice is none of the tools.
 * @throws UnsupportedParameterError when the choice is a tool of a kind that is not here.
 */
export function readTools(body: ToolBody): Tools | null {
  const { tools: all, tool_choice: toolChoice = "auto", parallel_tool_calls: isParallel } = body;
  const tools = all.filter((item) => item.type === "function");
  checkNames(all);
  if (typeof toolChoice === "string") {
    const isRequired = toolChoice === "required" || toolChoice === "any";
    if (isRequired && tools.length === 0) {
      throw new InvalidRequestError(
        `tool_choice: ${toolChoice} needs tools that are functions.`,
        "tool_choice",
      );
    }
    if (toolChoice === "none" || tools.length === 0) return null;
    return { list: tools, isRequired, isParallel };
  }
  if ("function" in toolChoice) {
    const param = "tool_choice.function.name";
    const chosen = findTool(tools, toolChoice.function.name, param);
    return { list: [chosen], isRequired: true, isParallel: false };
  }
  if ("allowed_tools" in toolChoice) {
    const { mode, tools: allowed } = toolChoice.allowed_tools;
    const list = allowed.map(({ function: { name } }, i) =>
      findTool(tools, name, `tool_choice.allowed_tools.tools[${i}].function.name`),
    );
    return list.length === 0 ? null : { list, isRequired: mode === "required", isParallel };
  }
  throw new UnsupportedParameterError(
    "tool_choice",
    `tools of type ${quote(toolChoice.name)} are left out; name a function.`,
  );
}

/** @throws InvalidRequestError */
function checkNames(tools: ToolBody["tools"]): void {
  const names = tools.map((item) => (item.type === "function" ? item.function.name : undefined));
  const twice = names.findIndex((name, i) => name !== undefined && names.indexOf(name) < i);
  if (twice < 0) return;
  const param = `tools[${twice}].function.name`;
  throw new InvalidRequestError(`${param}: there is another tool ${names[twice]!}.`, param);
}

/** @throws InvalidRequestError */
function findTool(tools: readonly Tool[], name: string, param: string): Tool {
  const found = tools.find((item) => item.function.name === name);
  if (found !== undefined) return found;
  throw new InvalidRequestError(`${param}: expected one of the tools (got ${quote(name)})`, param);
}
