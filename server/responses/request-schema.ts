import { z } from "zod";
import { chatSchema } from "../request-schemas.ts";
import type { UnsupportedTable } from "../unsupported-parameters.ts";

const textPart = {
  type: "object",
  properties: {
    type: { enum: ["input_text", "output_text", "text"] },
    text: { type: "string" },
  },
  required: ["type", "text"],
} as const;

/** A string, or parts of text; always parts once parsed. */
const text = z
  .unknown()
  .transform((content, context): readonly string[] => {
    if (typeof content === "string") return [content];
    if (!Array.isArray(content)) {
      context.addIssue("expected a string or an array of text parts");
      return z.NEVER;
    }
    return content.map((part: unknown, index) => {
      const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown };
      const isText = type === "input_text" || type === "output_text" || type === "text";
      if (isText && typeof text === "string") return text;
      const message = isText
        ? "expected a text part with a string `text`"
        : "only parts of type input_text and output_text are supported";
      context.addIssue({ code: "custom", message, path: [index] });
      return "";
    });
  })
  .meta({ anyOf: [{ type: "string" }, { type: "array", items: textPart }] });

const item = z.discriminatedUnion(
  "type",
  [
    z.object({
      type: z.literal("message").optional(),
      role: z.enum(["user", "assistant", "system", "developer"]),
      content: text,
    }),
    z.object({
      type: z.literal("function_call"),
      call_id: z.string(),
      name: z.string(),
      arguments: z.string(),
    }),
    z.object({ type: z.literal("function_call_output"), call_id: z.string(), output: text }),
  ],
  { error: "expected an item of type message, function_call or function_call_output" },
);

const items = z
  .array(item, "expected a string or a list of items")
  .min(1, "expected at least one item");

/** A message of the user, or items; no union, which would not tell what is wrong with an item. */
const input = z
  .unknown()
  .transform((value, context): string | z.output<typeof items> => {
    if (typeof value === "string") return value;
    const result = items.safeParse(value);
    if (result.success) return result.data;
    for (const { message, path } of result.error.issues) {
      context.addIssue({ code: "custom", message, path });
    }
    return z.NEVER;
  })
  .meta({ anyOf: [{ type: "string" }, itemsJsonSchema()] });

const functionTool = z.object({
  type: z.literal("function", { error: "only tools of type function are supported" }),
  name: z.string().min(1),
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
});

const format = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text") }),
    z.object({ type: z.literal("json_object") }),
    z.object({
      type: z.literal("json_schema"),
      name: z.string().min(1),
      schema: z.record(z.string(), z.unknown()),
      description: z.string().nullish(),
      strict: z.boolean().nullish(),
    }),
  ],
  { error: "expected an object whose type is text, json_object or json_schema" },
);

const verbosity = z.enum(["low", "medium", "high"], {
  error: "expected one of low, medium and high",
});

const chat = chatSchema.shape;

export const responsesSchema = z.object({
  model: chat.model,
  input,
  instructions: z.string().optional(),
  previous_response_id: z.string().optional(),
  store: z.boolean().default(true),
  stream: chat.stream,
  max_output_tokens: chat.max_tokens,
  temperature: chat.temperature,
  top_p: chat.top_p,
  top_logprobs: chat.top_logprobs,
  include: z
    .array(
      z.enum(["message.output_text.logprobs", "reasoning.encrypted_content"], {
        error: "only message.output_text.logprobs and reasoning.encrypted_content are supported",
      }),
    )
    .default([]),
  // As in chat, no verbosity changes anything.
  text: z.object({ format: format.nullish(), verbosity: verbosity.nullish() }).optional(),
  tools: z.array(functionTool).default([]),
  tool_choice: z
    .union(
      [
        z.enum(["none", "auto", "required"]),
        z.object({ type: z.literal("function"), name: z.string().min(1) }),
      ],
      { error: "expected none, auto, required or a function by its name" },
    )
    .default("auto"),
  parallel_tool_calls: z.boolean().default(true),
  metadata: z.record(z.string(), z.string()).default({}),
  truncation: z.literal("disabled", { error: "only disabled is supported" }).default("disabled"),
  // What vLLM adds to the API.
  top_k: chat.top_k,
  min_p: chat.min_p,
  seed: chat.seed,
  stop: chat.stop,
  repetition_penalty: chat.repetition_penalty,
  frequency_penalty: chat.frequency_penalty,
  presence_penalty: chat.presence_penalty,
  logit_bias: chat.logit_bias,
  ignore_eos: chat.ignore_eos,
  cache_prompt: chat.cache_prompt,
  cache_salt: chat.cache_salt,
  // Known, and change nothing: there are no tools of the server's own, nor a cache per key.
  max_tool_calls: z.unknown().optional(),
  stream_options: z.unknown().optional(),
  user: z.string().optional(),
  service_tier: z.unknown().optional(),
  safety_identifier: z.unknown().optional(),
  prompt_cache_key: z.unknown().optional(),
  prompt_cache_retention: z.unknown().optional(),
});

export type ResponsesBody = z.output<typeof responsesSchema>;
export type ResponsesItem = z.output<typeof item>;

const omitIt = { supported: "leave it out.", isNeutral: () => false };

export const unsupportedInResponses: UnsupportedTable = {
  background: { supported: "only false is accepted.", isNeutral: (value) => value === false },
  conversation: { supported: "use previous_response_id.", isNeutral: () => false },
  prompt: omitIt,
  moderation: omitIt,
  context_management: omitIt,
  reasoning: {
    supported: "the model does not reason; leave it out.",
    isNeutral: (value) => {
      const { effort, summary } = value as { effort?: unknown; summary?: unknown };
      return (effort == null || effort === "none") && summary == null;
    },
  },
};

function itemsJsonSchema(): object {
  const schema = z.toJSONSchema(items, { io: "input", unrepresentable: "any" });
  delete schema.$schema;
  return schema;
}
