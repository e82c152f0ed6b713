import { InvalidRequestError } from "../base/errors.ts";
import type { JsonEndpoint } from "../generation/json-endpoint.ts";
import { type DetokenizeBody, detokenizeSchema } from "./tokenize-schemas.ts";

/** POST /detokenize: the text under vLLM's name and under llama.cpp's. */
export const detokenizeEndpoint: JsonEndpoint<DetokenizeBody> = {
  schema: detokenizeSchema,
  known: {},
  answer({ body: { tokens }, loaded: { codec, engine } }) {
    const { vocabSize } = engine.limits;
    const outside = tokens.findIndex((id) => id >= vocabSize);
    if (outside >= 0) {
      const message = `Token id ${tokens[outside]} is outside the vocabulary of ${vocabSize} tokens.`;
      throw new InvalidRequestError(message, `tokens[${outside}]`);
    }
    const text = codec.decode(tokens);
    return { prompt: text, content: text };
  },
};
