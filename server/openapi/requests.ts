import {
  knownInChat,
  knownInCompletions,
  knownInResponses,
  knownInTemplates,
} from "../parameters/known-parameters.ts";
import type { ParameterTable } from "../parameters/parameter-table.ts";
import { chatSchema, completionSchema } from "../generation/request-schemas.ts";
import { embeddingsSchema } from "../reading/embeddings.ts";
import { routeSchema } from "../reading/route.ts";
import { responsesSchema } from "../responses/request-schema.ts";
import {
  applyTemplateSchema,
  detokenizeSchema,
  tokenizeSchema,
} from "../tokenizing/tokenize-schemas.ts";

/** What clients send, by its name in the document. */
export const requests = {
  ChatCompletionRequest: chatSchema,
  CompletionRequest: completionSchema,
  ResponseRequest: responsesSchema,
  EmbeddingRequest: embeddingsSchema,
  RouteRequest: routeSchema,
  TokenizeRequest: tokenizeSchema,
  DetokenizeRequest: detokenizeSchema,
  ApplyTemplateRequest: applyTemplateSchema,
} as const;

/** What else of them is known by name. */
export const knownParameters: Readonly<Partial<Record<RequestName, ParameterTable>>> = {
  ChatCompletionRequest: knownInChat,
  CompletionRequest: knownInCompletions,
  ResponseRequest: knownInResponses,
  TokenizeRequest: knownInTemplates,
  ApplyTemplateRequest: knownInTemplates,
};

export type RequestName = keyof typeof requests;
