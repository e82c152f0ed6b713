import type { Prompt, TextCodec } from "./codec.ts";
import { CompletionWriter } from "./completion-writer.ts";
import { InvalidRequestError, withinContext } from "./errors.ts";
import type { GenerationEndpoint } from "./generation-endpoint.ts";
import { findNamed } from "./parameters/aliases.ts";
import { type CompletionBody, completionSchema } from "./request-schemas.ts";
import { structuredSource } from "./structured/structured-output.ts";
import { knownInCompletions } from "./parameters/known-parameters.ts";

/** POST /v1/completions */
export const completionEndpoint: GenerationEndpoint<CompletionBody> = {
  schema: completionSchema,
  known: knownInCompletions,
  idPrefix: "cmpl",
  format: { object: "text_completion", chunkObject: "text_completion" },
  async read(body, { codec, grammars, maxTokens }) {
    const { echo } = body;
    const tokenLimit = findNamed(body, "max_tokens");
    if (tokenLimit?.value === 0 && !echo) {
      const { field } = tokenLimit;
      const message = `${field}: expected at least 1, -1 for no limit, or 0 with echo (got 0)`;
      throw new InvalidRequestError(message, field);
    }
    const source = structuredSource(body);
    const logprobs = body.logprobs === undefined ? undefined : { numTop: body.logprobs };
    return {
      prompts: withinContext("prompt", maxTokens, () =>
        body.prompt.map((prompt) => toPrompt(prompt, codec, maxTokens)),
      ),
      promptField: "prompt",
      tokenLimit,
      // As the OpenAI API has it for this endpoint.
      defaultMaxTokens: 16,
      logprobs,
      promptLogprobs: echo ? logprobs : undefined,
      grammar: source && (await grammars.compile(source)),
      writerFor: (index, { text, tokenIds }) =>
        new CompletionWriter(index, codec, {
          echo: echo ? { text: text || codec.decode(tokenIds), tokenIds } : null,
          wantsLogprobs: logprobs !== undefined,
          keepsControl: !body.skip_special_tokens,
        }),
    };
  },
};

function toPrompt(prompt: string | number[], codec: TextCodec, maxTokens: number): Prompt {
  return typeof prompt === "string"
    ? { tokenIds: codec.encodeText(prompt, { maxTokens }), text: prompt, messages: null }
    : { tokenIds: toTokenIds(prompt), text: "", messages: null };
}

/** Ids beyond 32 bits stay outside every vocabulary instead of wrapping round into it. */
function toTokenIds(ids: readonly number[]): Uint32Array {
  return Uint32Array.from(ids, (id) => Math.min(id, 0xffff_ffff));
}
