import type { RequestHandler } from "express";
import type { ModelService } from "./model-service.ts";

/** GET /health: the process is alive, whatever the model does. */
export const health: RequestHandler = (_req, res) => {
  res.json({ status: "ok" });
};

/** GET /ready: requests will be answered. Otherwise the error that they would get. */
export function ready(service: ModelService): RequestHandler {
  return (_req, res) => {
    service.ready();
    res.json({ status: "ready" });
  };
}
