import type { AnswerFormat } from "./answer.ts";
import type { GenerationEndpoint } from "./generation-endpoint.ts";
import { type CompletionBody, completionSchema } from "./request-schemas.ts";
import { unsupportedInCompletions } from "./unsupported-parameters.ts";

const completionFormat: AnswerFormat = {
  object: "text_completion",
  chunkObject: "text_completion",
  choice,
  firstPiece: () => undefined,
  textPiece: (index, text) => choice(index, text, null),
  lastPiece: (index, reason) => choice(index, "", reason),
};

/** POST /v1/completions */
export const completionEndpoint: GenerationEndpoint<CompletionBody> = {
  schema: completionSchema,
  unsupported: unsupportedInCompletions,
  idPrefix: "cmpl",
  format: completionFormat,
  readPrompts: (body, codec) => ({
    prompts: body.prompt.map((prompt) =>
      typeof prompt === "string"
        ? { tokenIds: codec.encodeText(prompt), text: prompt, messages: null }
        : { tokenIds: toTokenIds(prompt), text: "", messages: null },
    ),
    promptField: "prompt",
    tokenLimit:
      body.max_tokens === undefined ? undefined : { value: body.max_tokens, field: "max_tokens" },
    // As the OpenAI API has it for this endpoint.
    defaultMaxTokens: 16,
  }),
};

function choice(index: number, text: string, finishReason: string | null): object {
  return { index, text, logprobs: null, finish_reason: finishReason };
}

/** Ids beyond 32 bits stay outside every vocabulary instead of wrapping round into it. */
function toTokenIds(ids: readonly number[]): Uint32Array {
  return Uint32Array.from(ids, (id) => Math.min(id, 0xffff_ffff));
}
