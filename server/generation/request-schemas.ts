import { z } from "zod";
import { withAliases } from "../parameters/aliases.ts";
import { requestLimits } from "../base/request-limits.ts";
import { noLimit, samplingFields, tokenLimit } from "./sampling-fields.ts";
import { structuredFields } from "../structured/structured-output.ts";
import { reasoningFields } from "./reasoning.ts";
import { templateFields } from "./template-options.ts";
import { maxTopLogprobs } from "./token-logprobs.ts";
import { toolCall, toolFields } from "../tools/tool-schemas.ts";

/** What both endpoints take. */
const generationFields = {
  ...samplingFields,
  ...structuredFields,
  model: z.string().optional(),
  n: z.int().min(1).max(requestLimits.choices).default(1),
  stream: z.boolean().default(false),
  stream_options: z
    .object({
      include_usage: z.boolean().nullish(),
      continuous_usage_stats: z.boolean().nullish(),
    })
    .optional(),
};

/** What JSON Schema cannot see of a transform. */
const textParts = {
  type: "array",
  items: {
    type: "object",
    properties: { type: { const: "text" }, text: { type: "string" } },
    required: ["type", "text"],
  },
} as const;

/** A string, or an array of text parts, which are joined by line ends as vLLM does. */
const textContent = z
  .unknown()
  .transform(joinTextParts)
  .meta({ anyOf: [{ type: "string" }, textParts] });
/** The assistant's may be null or absent beside tool calls. */
const assistantContent = z
  .unknown()
  .optional()
  .transform((content, context) => joinTextParts(content ?? "", context))
  .meta({ anyOf: [{ type: "string" }, textParts, { type: "null" }] });

const name = z.string().max(requestLimits.nameCharacters).nullish();
const messageSchema = z.discriminatedUnion(
  "role",
  [
    z.object({ role: z.literal("system"), content: textContent, name }),
    z.object({ role: z.literal("developer"), content: textContent, name }),
    z.object({ role: z.literal("user"), content: textContent, name }),
    z.object({
      role: z.literal("assistant"),
      content: assistantContent,
      name,
      /** What the model thought before it said that, for templates that show it. */
      reasoning_content: z.string().nullish(),
      tool_calls: z.array(toolCall).max(requestLimits.toolCalls).nullish(),
    }),
    z.object({
      role: z.literal("tool"),
      content: textContent,
      name,
      tool_call_id: name,
    }),
  ],
  { error: "expected a message object whose role is system, developer, user, assistant or tool" },
);

export const chatSchema = z.object({
  ...generationFields,
  messages: z
    .array(messageSchema)
    .min(1, "expected at least one message")
    .max(requestLimits.messages),
  max_completion_tokens: tokenLimit,
  logprobs: z.boolean().default(false),
  top_logprobs: z.int().min(0).max(maxTopLogprobs).default(0),
  ...toolFields,
  ...templateFields,
  ...reasoningFields,
});

const tokenIds = { type: "array", minItems: 1, items: { type: "integer", minimum: 0 } } as const;

/** One prompt or several, each as text or as token ids; always a list once parsed. */
export const prompts = z
  .unknown()
  .transform((prompt, context): (string | number[])[] => {
    const list = typeof prompt === "string" || isTokenIds(prompt) ? [prompt] : prompt;
    const isValid = (item: unknown) => typeof item === "string" || isTokenIds(item);
    if (Array.isArray(list) && list.length > requestLimits.prompts) {
      context.addIssue(`expected at most ${requestLimits.prompts} of them`);
      return z.NEVER;
    }
    if (Array.isArray(list) && list.length > 0 && list.every(isValid)) {
      return list;
    }
    context.addIssue(
      "expected a string, a list of strings, a list of token ids or a list of such lists, not empty",
    );
    return z.NEVER;
  })
  .meta({
    anyOf: [
      { type: "string" },
      tokenIds,
      { type: "array", minItems: 1, items: { anyOf: [{ type: "string" }, tokenIds] } },
    ],
  });

export const completionSchema = z.object({
  ...withAliases({
    ...generationFields,
    // 0 only with echo; -1 for no limit.
    max_tokens: z.int().min(noLimit).optional(),
  }),
  prompt: prompts,
  echo: z.boolean().default(false),
  logprobs: z.int().min(0).max(maxTopLogprobs).optional(),
});

export type ChatBody = z.output<typeof chatSchema>;
export type CompletionBody = z.output<typeof completionSchema>;
/** What both endpoints have in common. */
export type GenerationBody = Omit<CompletionBody, "prompt" | "echo" | "logprobs">;

function isTokenIds(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((id) => Number.isSafeInteger(id) && (id as number) >= 0)
  );
}

function joinTextParts(content: unknown, context: z.RefinementCtx): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) {
    context.addIssue("expected a string or an array of text parts");
    return z.NEVER;
  }
  if (content.length > requestLimits.textParts) {
    context.addIssue(`expected at most ${requestLimits.textParts} text parts`);
    return z.NEVER;
  }
  const texts = content.map((part: unknown, index) => {
    const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown };
    if (type === "text" && typeof text === "string") return text;
    const message =
      type === "text"
        ? "expected a text part with a string `text`"
        : "only parts of type text are supported";
    context.addIssue({ code: "custom", message, path: [index] });
    return "";
  });
  return texts.join("\n");
}
