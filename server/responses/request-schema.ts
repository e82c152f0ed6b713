import { z } from "zod";
import { chatSchema } from "../generation/request-schemas.ts";
import { requestLimits } from "../base/request-limits.ts";
import { reasoningFields } from "../generation/reasoning.ts";
import { samplingFields } from "../generation/sampling-fields.ts";
import { functionOrForeign } from "../tools/foreign-tools.ts";

const { metadata } = requestLimits;
const callId = z.string().max(requestLimits.nameCharacters);

const textPart = {
  anyOf: [
    {
      type: "object",
      properties: {
        type: { enum: ["input_text", "output_text", "text"] },
        text: { type: "string" },
      },
      required: ["type", "text"],
    },
    {
      type: "object",
      properties: { type: { const: "refusal" }, refusal: { type: "string" } },
      required: ["type", "refusal"],
    },
  ],
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
    if (content.length > requestLimits.textParts) {
      context.addIssue(`expected at most ${requestLimits.textParts} text parts`);
      return z.NEVER;
    }
    return content.map((part: unknown, index) => {
      const { type, text, refusal } = (part ?? {}) as Partial<Record<string, unknown>>;
      if (type === "refusal" && typeof refusal === "string") return refusal;
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

/** Calls of tools that only other models have, in a conversation that goes on here: shown as those of functions. */
const foreignCalls = [
  z
    .object({
      type: z.literal("custom_tool_call"),
      call_id: callId,
      name: callId,
      input: z.string(),
    })
    .transform(({ call_id, name, input }) => {
      return {
        type: "function_call" as const,
        call_id,
        name,
        arguments: JSON.stringify({ input }),
      };
    }),
  z
    .object({ type: z.literal("local_shell_call"), call_id: callId, action: z.object({}).loose() })
    .transform(({ call_id, action }) => {
      const called = { name: "local_shell", arguments: JSON.stringify(action) };
      return { type: "function_call" as const, call_id, ...called };
    }),
  z
    .object({
      type: z.literal(["custom_tool_call_output", "local_shell_call_output"]),
      call_id: callId,
      output: text,
    })
    .transform((item) => ({ ...item, type: "function_call_output" as const })),
] as const;

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
      call_id: callId,
      name: callId,
      arguments: z.string(),
    }),
    ...foreignCalls,
    // What a model has thought, as far as it is told: of other servers often only a summary.
    z
      .object({
        type: z.literal("reasoning"),
        content: z
          .array(z.object({ type: z.string(), text: z.string().optional() }))
          .max(requestLimits.textParts)
          .nullish(),
      })
      .transform(({ type, content }) => {
        const parts = (content ?? []).filter((part) => part.type === "reasoning_text");
        const texts = parts.flatMap(({ text }) => text ?? []);
        return texts.length === 0 ? { type: "passed_over" as const } : { type, content: texts };
      }),
    // What a model had done on another server; the answer that followed says what came of it.
    z
      .object({ type: z.literal(["web_search_call", "file_search_call"]) })
      .transform(() => ({ type: "passed_over" as const })),
    z.object({
      type: z.literal("item_reference"),
      id: z.string().max(requestLimits.nameCharacters),
    }),
    z.object({ type: z.literal("function_call_output"), call_id: callId, output: text }),
  ],
  {
    error:
      "expected an item of type message, function_call, function_call_output, reasoning or item_reference, or of a tool that agents have",
  },
);

const items = z
  .array(item, "expected a string or a list of items")
  .min(1, "expected at least one item")
  .max(requestLimits.items);

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
  type: z.literal("function"),
  name: z.string().min(1),
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
});

const chosenFunction = z.object({ type: z.literal("function"), name: z.string().min(1) });

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

/** Of what there is none here nothing is added. */
const includable = [
  "message.output_text.logprobs",
  "message.input_image.image_url",
  "reasoning.encrypted_content",
  "file_search_call.results",
  "web_search_call.results",
  "web_search_call.action.sources",
  "code_interpreter_call.outputs",
  "computer_call_output.output.image_url",
] as const;

const chat = chatSchema.shape;

export const responsesSchema = z.object({
  // What llama.cpp and vLLM add to the API.
  ...samplingFields,
  model: chat.model,
  input,
  instructions: z.string().optional(),
  previous_response_id: z.string().max(requestLimits.nameCharacters).optional(),
  store: z.boolean().default(true),
  stream: chat.stream,
  max_output_tokens: samplingFields.max_tokens,
  top_logprobs: chat.top_logprobs,
  include: z
    .array(z.enum(includable, { error: `expected one of ${includable.join(", ")}` }))
    .default([]),
  // As in chat, no verbosity changes anything.
  text: z.object({ format: format.nullish(), verbosity: verbosity.nullish() }).optional(),
  tools: z.array(functionOrForeign(functionTool)).max(requestLimits.tools).default([]),
  tool_choice: z
    .union(
      [
        z.enum(["none", "auto", "required", "any"]),
        chosenFunction,
        z.object({
          type: z.literal("allowed_tools"),
          mode: z.enum(["auto", "required"]),
          tools: z.array(chosenFunction).max(requestLimits.tools),
        }),
        z.object({ type: z.string().regex(/^(?!(function|allowed_tools)$)/) }),
      ],
      { error: "expected none, auto, required or a function by its name" },
    )
    .default("auto"),
  parallel_tool_calls: z.boolean().default(true),
  metadata: z
    .record(
      z.string().max(metadata.keyCharacters),
      z.string().max(metadata.valueCharacters),
      "expected an object of strings",
    )
    .refine((pairs) => Object.keys(pairs).length <= metadata.pairs, {
      message: `expected at most ${metadata.pairs} pairs`,
    })
    .default({}),
  // What does not fit is refused, whatever may be cut.
  truncation: z.enum(["auto", "disabled"]).default("disabled"),
  reasoning: z
    .object({ effort: chat.reasoning_effort.nullish(), summary: z.string().nullish() })
    .default({}),
  user: z.string().optional(),
  ...reasoningFields,
});

export type ResponsesBody = z.output<typeof responsesSchema>;
export type ResponsesItem = z.output<typeof item>;

function itemsJsonSchema(): object {
  const schema = z.toJSONSchema(items, { io: "input", unrepresentable: "any" });
  delete schema.$schema;
  return schema;
}
