import { z } from "zod";
import { encodeInputs } from "../text/encode-inputs.ts";
import { ContextLengthError, InvalidRequestError, withinContext } from "../base/errors.ts";
import { checkPrompt } from "../generation/generation.ts";
import type { JsonEndpoint } from "../generation/json-endpoint.ts";
import { countedTokens } from "../base/request-limits.ts";
import { chatSchema, prompts } from "../generation/request-schemas.ts";
import { readingRequest, readPrompts } from "./read-prompts.ts";

export const embeddingsSchema = z.object({
  model: chatSchema.shape.model,
  input: prompts,
  encoding_format: z.enum(["float", "base64"]).default("float"),
  dimensions: z.int().min(1).optional(),
  user: z.unknown().optional(),
});

export type EmbeddingsBody = z.output<typeof embeddingsSchema>;

/**
 * POST /v1/embeddings: means of hidden states. A model that was trained to go on with texts and not to compare them
 * gives useful but no excellent ones.
 */
export const embeddingsEndpoint: JsonEndpoint<EmbeddingsBody> = {
  schema: embeddingsSchema,
  known: {},
  async answer({ body, loaded: { engine, codec }, model, context, id, begin }) {
    const { vocabSize, contextLength } = engine.limits;
    const options = { parseSpecial: false, maxTokens: countedTokens(contextLength) };
    const inputs = await withinContext("input", contextLength, () =>
      encodeInputs(body.input, codec, options),
    );
    for (const tokenIds of inputs) {
      checkPrompt(tokenIds, "input", vocabSize);
      if (tokenIds.length <= contextLength) continue;
      throw new ContextLengthError("input", { promptTokens: tokenIds.length, contextLength });
    }
    const requests = inputs.map((tokenIds, index) =>
      readingRequest(`${id}-${index}`, tokenIds, "embedding"),
    );
    const readings = await readPrompts(engine, requests, begin());
    const promptTokens = inputs.reduce((sum, { length }) => sum + length, 0);
    context.metrics.countReadTokens(promptTokens);
    return {
      object: "list",
      data: readings.map(({ embedding }, index) => {
        const vector = shorten(embedding, body.dimensions);
        return { object: "embedding", index, embedding: spell(vector, body.encoding_format) };
      }),
      model: model.id,
      usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
    };
  },
};

/** The first numbers, made 1 long again. */
function shorten(embedding: Float32Array, dimensions = embedding.length): Float32Array {
  if (dimensions > embedding.length) {
    throw new InvalidRequestError(
      `dimensions: expected at most the model's ${embedding.length} (got ${dimensions})`,
      "dimensions",
    );
  }
  const head = embedding.subarray(0, dimensions);
  const length = Math.hypot(...head) || 1;
  return dimensions === embedding.length ? embedding : head.map((value) => value / length);
}

/** Base64 is of 32-bit floats, least significant byte first. */
function spell(vector: Float32Array, format: EmbeddingsBody["encoding_format"]) {
  if (format === "float") return [...vector];
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString("base64");
}
