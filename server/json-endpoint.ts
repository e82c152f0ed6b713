import type { Request, RequestHandler } from "express";
import type { z } from "zod";
import { type LoadedModel, type ModelService, resolveModel } from "./model-service.ts";
import { validate, withoutNulls } from "./parse-body.ts";
import type { UnknownFields } from "./unknown-fields.ts";
import { refuseUnsupported, type UnsupportedTable } from "./unsupported-parameters.ts";

/** What a JSON endpoint's answer is made from. */
export interface JsonCall<Body> {
  readonly req: Request;
  readonly body: Body;
  readonly loaded: LoadedModel;
}

/** A POST that answers at once, without generating. */
export interface JsonEndpoint<Body extends { readonly model?: string | undefined }> {
  readonly schema: z.ZodObject & z.ZodType<Body>;
  readonly unsupported: UnsupportedTable;
  /** @throws RequestError */
  answer(call: JsonCall<Body>): object;
}

export function jsonHandler<Body extends { readonly model?: string | undefined }>(
  endpoint: JsonEndpoint<Body>,
  service: ModelService,
  unknownFields: UnknownFields,
): RequestHandler {
  const { schema, unsupported } = endpoint;
  const isKnown = (field: string) =>
    Object.hasOwn(schema.shape, field) || Object.hasOwn(unsupported, field);
  return (req, res) => {
    const loaded = service.ready();
    const fields = withoutNulls(req.body);
    unknownFields.note(fields, isKnown);
    const body = validate(schema, fields);
    refuseUnsupported(fields, unsupported);
    resolveModel(loaded, body.model);
    res.json(endpoint.answer({ req, body, loaded }));
  };
}
