import { z } from "zod";
import { structuredFields } from "./structured/structured-output.ts";
import { maxTopLogprobs } from "./token-logprobs.ts";
import { toolCall, toolFields } from "./tools/tool-schemas.ts";

/** More would be a mistake rather than a wish. */
const maxStopStrings = 16;
const maxChoices = 16;

const tokenLimit = z.int().min(1).optional();
const penalty = z.number().min(-2).max(2).default(0);

const stopString = z.string().min(1, "a stop string must not be empty");
const stop = z
  .union([stopString, z.array(stopString).max(maxStopStrings)], {
    error: `expected a non-empty string or a list of up to ${maxStopStrings} of them`,
  })
  .default([])
  .transform((value) => (typeof value === "string" ? [value] : value));

/** Token id to bias; whether the id is in the vocabulary is checked when the model is known. */
const logitBias = z
  .record(z.string().regex(/^\d+$/, "expected token ids as keys"), z.number().min(-100).max(100))
  .default({})
  .transform((biases) => Object.entries(biases).map(([id, bias]) => [Number(id), bias] as const));

/** What both endpoints take; `user` and the like are known, and change nothing. */
const generationFields = {
  model: z.string().optional(),
  max_tokens: tokenLimit,
  temperature: z.number().min(0).default(1),
  top_p: z.number().min(0).max(1).default(1),
  // -1 is vLLM's way to switch it off.
  top_k: z.int().min(-1).default(0),
  min_p: z.number().min(0).max(1).default(0),
  seed: z.number().refine(Number.isInteger, "expected an integer").optional(),
  stop,
  n: z.int().min(1).max(maxChoices).default(1),
  stream: z.boolean().default(false),
  stream_options: z
    .object({
      include_usage: z.boolean().nullish(),
      continuous_usage_stats: z.boolean().nullish(),
    })
    .optional(),
  frequency_penalty: penalty,
  presence_penalty: penalty,
  repetition_penalty: z.number().positive().max(10).default(1),
  logit_bias: logitBias,
  ignore_eos: z.boolean().default(false),
  // llama.cpp's and vLLM's.
  cache_prompt: z.boolean().default(true),
  cache_salt: z.string().min(1, "a salt must not be empty").optional(),
  user: z.unknown().optional(),
  metadata: z.unknown().optional(),
  store: z.unknown().optional(),
  service_tier: z.unknown().optional(),
  safety_identifier: z.unknown().optional(),
  prompt_cache_key: z.unknown().optional(),
  parallel_tool_calls: z.unknown().optional(),
  ...structuredFields,
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

const name = z.string().nullish();
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
      tool_calls: z.array(toolCall).nullish(),
    }),
    z.object({
      role: z.literal("tool"),
      content: textContent,
      name,
      tool_call_id: z.string().nullish(),
    }),
  ],
  { error: "expected a message object whose role is system, developer, user, assistant or tool" },
);

export const chatSchema = z.object({
  ...generationFields,
  messages: z.array(messageSchema).min(1, "expected at least one message"),
  max_completion_tokens: tokenLimit,
  logprobs: z.boolean().default(false),
  top_logprobs: z.int().min(0).max(maxTopLogprobs).default(0),
  ...toolFields,
});

const tokenIds = { type: "array", minItems: 1, items: { type: "integer", minimum: 0 } } as const;

/** One prompt or several, each as text or as token ids; always a list once parsed. */
export const prompts = z
  .unknown()
  .transform((prompt, context): (string | number[])[] => {
    const list = typeof prompt === "string" || isTokenIds(prompt) ? [prompt] : prompt;
    const isValid = (item: unknown) => typeof item === "string" || isTokenIds(item);
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
  ...generationFields,
  prompt: prompts,
  // 0 only with echo.
  max_tokens: z.int().min(0).optional(),
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
