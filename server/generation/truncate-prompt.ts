import type { EngineLimits } from "../../engine/contract/request.ts";
import type { Prompt, TextCodec } from "../text/codec.ts";
import type { GenerationOptions } from "./generation.ts";
import { noLimit } from "./sampling-fields.ts";

/**
 * A prompt without its beginning, where the body asks for that; the rest is no conversation any more.
 * @param numKept `truncate_prompt_tokens`: -1 for as many tokens as leave room for the answer
 */
export function truncatePrompt(
  prompt: Prompt,
  numKept: number | undefined,
  tokenLimit: GenerationOptions["tokenLimit"],
  { contextLength }: Pick<EngineLimits, "contextLength">,
  codec: Pick<TextCodec, "decode">,
): Prompt {
  if (numKept === undefined) return prompt;
  const limit = tokenLimit === undefined ? 1 : Math.max(1, tokenLimit.value);
  const numFitting = Math.max(1, contextLength - limit);
  const tokenIds = prompt.tokenIds.slice(-(numKept === noLimit ? numFitting : numKept));
  if (tokenIds.length === prompt.tokenIds.length) return prompt;
  return { tokenIds, text: codec.decode(tokenIds), messages: null, spans: null };
}
