import type { RequestHandler } from "express";
import { listedNames, type LoadedModel, type ModelService, resolveModel } from "./model-service.ts";

/**
 * GET /v1/models
 * @param created - Unix seconds
 */
export function listModels(service: ModelService, created: number): RequestHandler {
  return (_req, res) => {
    const model = service.ready();
    const data = listedNames(model).map((name) => toWire(model, name, created));
    res.json({ object: "list", data });
  };
}

/** GET /v1/models/{id}; the id may contain slashes, as they are or URL-encoded. */
export function retrieveModel(service: ModelService, created: number): RequestHandler {
  return (req, res) => {
    const model = service.ready();
    const name = [req.params["id"] ?? []].flat().join("/");
    resolveModel(model, name);
    res.json(toWire(model, name, created));
  };
}

function toWire({ names, engine }: LoadedModel, id: string, created: number): object {
  return {
    id,
    object: "model",
    created,
    owned_by: "seap",
    root: names[0],
    max_model_len: engine.limits.contextLength,
  };
}
