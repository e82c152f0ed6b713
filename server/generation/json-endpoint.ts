import { randomUUID } from "node:crypto";
import type { Request, RequestHandler } from "express";
import type { z } from "zod";
import type { GenerationContext } from "./generation-endpoint.ts";
import { type LoadedModel, type ResolvedName, resolveModel } from "../model/model-service.ts";
import { validate, withoutNulls } from "../http/parse-body.ts";
import { recordOf } from "../http/request-record.ts";
import { type ParameterTable, refuseUnsupported } from "../parameters/parameter-table.ts";

/** What a JSON endpoint's answer is made from. */
export interface JsonCall<Body> {
  readonly req: Request;
  readonly body: Body;
  readonly loaded: LoadedModel;
  readonly model: ResolvedName;
  readonly context: GenerationContext;
  /** Of the call. */
  readonly id: string;
  /** Call it when the engine is needed: what aborts the controller then ends the call. */
  readonly begin: () => AbortController;
}

/** A POST that is answered with one object, without generating. */
export interface JsonEndpoint<Body extends { readonly model?: string | undefined }> {
  readonly schema: z.ZodObject & z.ZodType<Body>;
  readonly known: ParameterTable;
  /** @throws RequestError, and what the engine throws */
  answer(call: JsonCall<Body>): object | Promise<object>;
}

export function jsonHandler<Body extends { readonly model?: string | undefined }>(
  endpoint: JsonEndpoint<Body>,
  context: GenerationContext,
): RequestHandler {
  const { service, unknownFields, inFlight } = context;
  const { schema, known } = endpoint;
  const isKnown = (field: string) =>
    Object.hasOwn(schema.shape, field) || Object.hasOwn(known, field);
  return async (req, res) => {
    const loaded = service.ready();
    const fields = withoutNulls(req.body);
    unknownFields.note(fields, isKnown, recordOf(res).log);
    const body = validate(schema, fields);
    refuseUnsupported(fields, known);
    const model = resolveModel(loaded, body.model);
    const id = randomUUID();
    const begin = () => inFlight.begin(res, id);
    res.json(await endpoint.answer({ req, body, loaded, model, context, id, begin }));
  };
}
