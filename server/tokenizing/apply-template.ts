import { withinTime } from "../base/errors.ts";
import type { JsonEndpoint } from "../generation/json-endpoint.ts";
import { knownInTemplates } from "../parameters/known-parameters.ts";
import { showChat } from "./shown-chat.ts";
import { type ApplyTemplateBody, applyTemplateSchema } from "./tokenize-schemas.ts";

/**
 * POST /apply-template: the text that the model reads. Text of control tokens that a message contains looks there like
 * those tokens, which it is not: `/tokenize` tells them apart.
 */
export const applyTemplateEndpoint: JsonEndpoint<ApplyTemplateBody> = {
  schema: applyTemplateSchema,
  known: knownInTemplates,
  async answer({ body, loaded: { codec } }) {
    const prompt = await withinTime("messages", () =>
      showChat(body, codec, (...chat) => codec.renderChat(...chat)),
    );
    return { prompt };
  },
};
