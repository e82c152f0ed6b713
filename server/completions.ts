import type { Prompt, TextCodec } from "./codec.ts";
import { CompletionWriter } from "./completion-writer.ts";
import { InvalidRequestError } from "./errors.ts";
import type { GenerationEndpoint } from "./generation-endpoint.ts";
import { type CompletionBody, completionSchema } from "./request-schemas.ts";
import { structuredSource } from "./structured/structured-output.ts";
import { unsupportedInCompletions } from "./unsupported-parameters.ts";

/** POST /v1/completions */
export const completionEndpoint: GenerationEndpoint<CompletionBody> = {
  schema: completionSchema,
  unsupported: unsupportedInCompletions,
  idPrefix: "cmpl",
  format: { object: "text_completion", chunkObject: "text_completion" },
  async read(body, { codec, grammars }) {
    const { max_tokens: maxTokens, echo } = body;
    if (maxTokens === 0 && !echo) {
      const message = "max_tokens: expected at least 1, or 0 with echo (got 0)";
      throw new InvalidRequestError(message, "max_tokens");
    }
    const source = structuredSource(body);
    const logprobs = body.logprobs === undefined ? undefined : { numTop: body.logprobs };
    return {
      prompts: body.prompt.map((prompt) => toPrompt(prompt, codec)),
      promptField: "prompt",
      tokenLimit: maxTokens === undefined ? undefined : { value: maxTokens, field: "max_tokens" },
      // As the OpenAI API has it for this endpoint.
      defaultMaxTokens: 16,
      logprobs,
      promptLogprobs: echo ? logprobs : undefined,
      grammar: source && (await grammars.compile(source)),
      writerFor: (index, { text, tokenIds }) =>
        new CompletionWriter(index, codec, {
          echo: echo ? { text: text || codec.decode(tokenIds), tokenIds } : null,
          wantsLogprobs: logprobs !== undefined,
        }),
    };
  },
};

function toPrompt(prompt: string | number[], codec: TextCodec): Prompt {
  return typeof prompt === "string"
    ? { tokenIds: codec.encodeText(prompt), text: prompt, messages: null }
    : { tokenIds: toTokenIds(prompt), text: "", messages: null };
}

/** Ids beyond 32 bits stay outside every vocabulary instead of wrapping round into it. */
function toTokenIds(ids: readonly number[]): Uint32Array {
  return Uint32Array.from(ids, (id) => Math.min(id, 0xffff_ffff));
}
