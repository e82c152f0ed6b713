import type { RequestHandler } from "express";
import { errorStatuses } from "../http/error-response.ts";
import { packageVersion } from "../base/package-version.ts";
import { openApiDocument } from "./document.ts";

/** GET /openapi.json; made when it is first asked for. */
export function openApi(): RequestHandler {
  let document: object | undefined;
  return (_req, res) => {
    document ??= openApiDocument({ version: packageVersion(), errorStatuses });
    res.json(document);
  };
}
