import { z } from "zod";
import { withAliases } from "../parameters/aliases.ts";
import { requestLimits } from "../base/request-limits.ts";

/** In place of a limit, as llama.cpp and LangChain have it. */
export const noLimit = -1;

export const tokenLimit = z
  .union([z.literal(noLimit), z.int().min(1)], {
    error: `expected an integer of at least 1, or ${noLimit} for no limit`,
  })
  .optional();

const penalty = z.number().min(-2).max(2).default(0);
/** Whether it is in the vocabulary is checked when the model is known. */
const tokenId = z.int().min(0).max(0xffff_ffff);

const { stopStrings: maxStops, stopCharacters, stopCharactersTogether } = requestLimits;
const stopString = z.string().max(stopCharacters);
const stop = z
  .union([stopString, z.array(stopString.nullable()).max(maxStops)], {
    error: `expected a string of up to ${stopCharacters} characters or a list of up to ${maxStops} of them`,
  })
  .default([])
  // Empty ones stop nothing.
  .transform((value) => [value].flat().filter((text): text is string => Boolean(text)))
  .refine((strings) => strings.join("").length <= stopCharactersTogether, {
    message: `expected at most ${stopCharactersTogether} characters together`,
  });

const logitBias = z
  .record(z.string().regex(/^\d+$/, "expected token ids as keys"), z.number().min(-100).max(100))
  .default({})
  .refine((biases) => Object.keys(biases).length <= requestLimits.logitBiases, {
    message: `expected at most ${requestLimits.logitBiases} tokens`,
  })
  .transform((biases) => Object.entries(biases).map(([id, bias]) => [Number(id), bias] as const));

/** How an answer's tokens are drawn, and when it ends; of all endpoints that generate. */
export const samplingFields = withAliases({
  max_tokens: tokenLimit,
  temperature: z.number().min(0).default(1),
  top_p: z.number().min(0).max(1).default(1),
  // -1 is vLLM's way to switch it off.
  top_k: z.int().min(-1).default(0),
  min_p: z.number().min(0).max(1).default(0),
  seed: z.number().refine(Number.isInteger, "expected an integer").optional(),
  stop,
  frequency_penalty: penalty,
  presence_penalty: penalty,
  repetition_penalty: z.number().positive().max(10).optional(),
  logit_bias: logitBias,
  ignore_eos: z.boolean().default(false),
  // llama.cpp's; -1 for all.
  repeat_last_n: z.int().min(-1).default(-1),
  // vLLM's.
  min_tokens: z.int().min(0).default(0),
  stop_token_ids: z.array(tokenId).max(requestLimits.stopTokens).default([]),
  allowed_token_ids: z.array(tokenId).min(1).max(requestLimits.allowedTokens).optional(),
  bad_words: z
    .array(z.string().max(requestLimits.badWordCharacters))
    .max(requestLimits.badWords)
    .default([]),
  include_stop_str_in_output: z.boolean().default(false),
  skip_special_tokens: z.boolean().default(true),
  truncate_prompt_tokens: z
    .union([z.literal(noLimit), z.int().min(1)], {
      error: `expected an integer of at least 1, or ${noLimit} for what fits`,
    })
    .optional(),
  // llama.cpp's and vLLM's.
  cache_prompt: z.boolean().default(true),
  cache_salt: z
    .string()
    .min(1, "a salt must not be empty")
    .max(requestLimits.nameCharacters)
    .optional(),
});
