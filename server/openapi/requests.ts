import { chatSchema, completionSchema } from "../request-schemas.ts";
import {
  applyTemplateSchema,
  detokenizeSchema,
  tokenizeSchema,
} from "../tokenizing/tokenize-schemas.ts";

/** What clients send, by its name in the document. */
export const requests = {
  ChatCompletionRequest: chatSchema,
  CompletionRequest: completionSchema,
  TokenizeRequest: tokenizeSchema,
  DetokenizeRequest: detokenizeSchema,
  ApplyTemplateRequest: applyTemplateSchema,
} as const;

export type RequestName = keyof typeof requests;
