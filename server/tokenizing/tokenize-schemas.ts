import { z } from "zod";
import { requestLimits } from "../base/request-limits.ts";
import { chatSchema } from "../generation/request-schemas.ts";
import { templateFields } from "../generation/template-options.ts";
import { toolFields } from "../tools/tool-schemas.ts";

const { model, messages } = chatSchema.shape;

/** What says how a conversation is rendered, beside the conversation. */
const chatFields = {
  ...toolFields,
  ...templateFields,
};

/** As vLLM has it (`prompt` or `messages`) and as llama.cpp has it (`content`). */
export const tokenizeSchema = z
  .object({
    model,
    prompt: z.string().optional(),
    content: z.string().optional(),
    messages: messages.optional(),
    // Absent, it is true for `prompt` and false for `content`, as those servers have it.
    add_special_tokens: z.boolean().optional(),
    add_special: z.boolean().optional(),
    parse_special: z.boolean().default(true),
    ...chatFields,
    return_token_strs: z.boolean().default(false),
    with_pieces: z.boolean().default(false),
  })
  .refine((body) => sources.filter((name) => body[name] !== undefined).length === 1, {
    path: ["prompt"],
    message: "expected one of prompt, messages and content",
  });

/** Of which there is one. */
export const sources = ["prompt", "messages", "content"] as const;

const tokenId = z.int().min(0);

export const detokenizeSchema = z.object({
  model,
  tokens: z.array(tokenId).max(requestLimits.tokens),
});

export const applyTemplateSchema = z.object({
  model,
  messages,
  ...chatFields,
});

export type TokenizeBody = z.output<typeof tokenizeSchema>;
export type DetokenizeBody = z.output<typeof detokenizeSchema>;
export type ApplyTemplateBody = z.output<typeof applyTemplateSchema>;
