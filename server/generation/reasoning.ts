import { z } from "zod";
import type { Prompt, TextCodec } from "../text/codec.ts";
import { reasoningStart } from "../text/reasoning-tags.ts";

/** How the client wants to see what a model thinks before it answers; llama.cpp's and vLLM's names. */
export const reasoningFields = {
  /** `auto` splits where the model's template knows of thinking, `deepseek` always. */
  reasoning_format: z.enum(["none", "auto", "deepseek"]).default("auto"),
  include_reasoning: z.boolean().default(true),
};

type ReasoningBody = z.output<z.ZodObject<typeof reasoningFields>>;

/** How an answer is taken apart into reasoning and text. */
export interface Reasoning {
  /** The prompt ends inside of it. */
  readonly isOpen: boolean;
  /** The client wants to see it. */
  readonly isShown: boolean;
}

/** The opening tag with blanks behind it is no more tokens than that. */
const maxTagTokens = 16;

/**
 * Null where an answer's text is told as it is.
 * @param isForced a grammar governs all of the answer, which then has no reasoning
 */
export function readReasoning(
  { reasoning_format: format, include_reasoning: isShown }: ReasoningBody,
  codec: Pick<TextCodec, "decode" | "tokenizerInfo">,
  { tokenIds }: Prompt,
  isForced: boolean,
): Reasoning | null {
  const isKnown = codec.tokenizerInfo.chatTemplate.includes(reasoningStart);
  if (isForced || format === "none" || (format === "auto" && !isKnown)) return null;
  const end = codec.decode(tokenIds.subarray(-maxTagTokens));
  return { isOpen: end.trimEnd().endsWith(reasoningStart), isShown };
}
