import { z } from "zod";
import { InvalidRequestError } from "../errors.ts";
import { requestLimits } from "../request-limits.ts";

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

const toolChoice = z.union(
  [
    z.enum(["none", "auto", "required"]),
    z.object({ type: z.literal("function"), function: z.object({ name: z.string() }) }),
  ],
  { error: "expected none, auto, required or an object that names a function" },
);

export const toolFields = {
  tools: z.array(tool).max(requestLimits.tools).default([]),
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
 */
export function readTools(body: ToolBody): Tools | null {
  const { tools, tool_choice: toolChoice = "auto", parallel_tool_calls: isParallel } = body;
  const names = tools.map((item) => item.function.name);
  const twice = names.findIndex((name, i) => names.indexOf(name) < i);
  if (twice >= 0) {
    const param = `tools[${twice}].function.name`;
    throw new InvalidRequestError(`${param}: there is another tool ${names[twice]!}.`, param);
  }
  if (typeof toolChoice === "object") {
    const { name } = toolChoice.function;
    const chosen = tools.filter((item) => item.function.name === name);
    if (chosen.length > 0) return { list: chosen, isRequired: true, isParallel: false };
    const param = "tool_choice.function.name";
    throw new InvalidRequestError(
      `${param}: expected one of the tools (got ${JSON.stringify(name)})`,
      param,
    );
  }
  if (toolChoice === "required" && tools.length === 0) {
    throw new InvalidRequestError("tool_choice: required needs tools.", "tool_choice");
  }
  if (toolChoice === "none" || tools.length === 0) return null;
  return { list: tools, isRequired: toolChoice === "required", isParallel };
}
