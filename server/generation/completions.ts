import { CompletionWriter } from "./completion-writer.ts";
import { encodeInputs } from "../text/encode-inputs.ts";
import { InvalidRequestError, withinContext } from "../base/errors.ts";
import { checkAnswers } from "./generation.ts";
import type { GenerationEndpoint } from "./generation-endpoint.ts";
import { findNamed } from "../parameters/aliases.ts";
import { type CompletionBody, completionSchema } from "./request-schemas.ts";
import { structuredSource } from "../structured/structured-output.ts";
import { knownInCompletions } from "../parameters/known-parameters.ts";

/** POST /v1/completions */
export const completionEndpoint: GenerationEndpoint<CompletionBody> = {
  schema: completionSchema,
  known: knownInCompletions,
  idPrefix: "cmpl",
  format: { object: "text_completion", chunkObject: "text_completion" },
  async read(body, { codec, grammars, limits, maxTokens }) {
    checkAnswers(body.prompt.length, body.n, limits, "prompt");
    const { echo } = body;
    const tokenLimit = findNamed(body, "max_tokens");
    if (tokenLimit?.value === 0 && !echo) {
      const { field } = tokenLimit;
      const message = `${field}: expected at least 1, -1 for no limit, or 0 with echo (got 0)`;
      throw new InvalidRequestError(message, field);
    }
    const source = structuredSource(body);
    const logprobs = body.logprobs === undefined ? undefined : { numTop: body.logprobs };
    const encoded = await withinContext("prompt", limits.contextLength, () =>
      encodeInputs(body.prompt, codec, { maxTokens }),
    );
    return {
      prompts: body.prompt.map((prompt, index) => ({
        tokenIds: encoded[index]!,
        text: typeof prompt === "string" ? prompt : "",
        messages: null,
        spans: null,
      })),
      promptField: "prompt",
      tokenLimit,
      // As the OpenAI API has it for this endpoint.
      defaultMaxTokens: 16,
      logprobs,
      promptLogprobs: echo ? logprobs : undefined,
      ...(source && (await grammars.compile(source))),
      writerFor: (index, { text, tokenIds }) =>
        new CompletionWriter(index, codec, {
          echo: echo ? { text: text || codec.decode(tokenIds), tokenIds } : null,
          wantsLogprobs: logprobs !== undefined,
          keepsControl: !body.skip_special_tokens,
        }),
    };
  },
};
