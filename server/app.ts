import express, { type Express, type RequestHandler } from "express";
import { chatEndpoint } from "./generation/chat.ts";
import { checkJson } from "./http/check-json.ts";
import { completionEndpoint } from "./generation/completions.ts";
import {
  commandExpert,
  expertCommands,
  listExperts,
  retrieveExpert,
  retrieveExpertPlan,
} from "./model/expert-endpoints.ts";
import { errorHandler } from "./http/error-response.ts";
import { CharsetError, RouteNotFoundError } from "./base/errors.ts";
import { type GenerationContext, generationHandler } from "./generation/generation-endpoint.ts";
import { health, ping, props, ready, version } from "./model/health.ts";
import { type JsonEndpoint, jsonHandler } from "./generation/json-endpoint.ts";
import type { Endpoint } from "./metrics/labels.ts";
import { listModels, retrieveModel } from "./model/models.ts";
import {
  allowOnly,
  labelled,
  observeRequest,
  onlyJson,
  whileReady,
} from "./http/request-middleware.ts";
import { cors, guardOrigin, onlyDeliberate } from "./security/cors.ts";
import { guardHost } from "./security/hosts.ts";
import { admit, authenticate, securityHeaders } from "./security/middleware.ts";
import type { Security } from "./security/security.ts";
import { openApi } from "./openapi/endpoint.ts";
import { embeddingsEndpoint } from "./reading/embeddings.ts";
import { routeEndpoint } from "./reading/route.ts";
import { page } from "./http/page-files.ts";
import { routerMap } from "./model/router-map-endpoint.ts";
import {
  createResponse,
  deleteResponse,
  listInputItems,
  retrieveResponse,
} from "./responses/responses.ts";
import { ResponseStore } from "./responses/response-store.ts";
import { applyTemplateEndpoint } from "./tokenizing/apply-template.ts";
import { detokenizeEndpoint } from "./tokenizing/detokenize.ts";
import { tokenizeEndpoint } from "./tokenizing/tokenize.ts";
import { tokenizerInfo } from "./tokenizing/tokenizer-info.ts";
import { upgradeRequired, webSocketPath } from "./websocket/upgrade.ts";

/** Enough for the conversations of the last hour on one machine. */
const responseStoreOptions = { maxResponses: 10_000, maxSize: 64 * 2 ** 20 };

export interface AppOptions extends GenerationContext {
  readonly security: Security;
  readonly bodyLimitBytes: number;
}

/** The HTTP surface. It owns nothing: what it needs is handed in, and nothing is started. */
export function createApp({ security, bodyLimitBytes, ...context }: AppOptions): Express {
  const { service, metrics } = context;
  const created = Math.floor(Date.now() / 1000);
  const app = express();
  app.disable("x-powered-by").disable("etag");
  const { hosts, origins } = security;
  app.use(observeRequest(context), securityHeaders, cors(origins));

  const readBody = [
    whileReady(service),
    onlyJson,
    express.json({
      // A body that is no object is JSON all the same.
      strict: false,
      limit: bodyLimitBytes,
      type: () => true,
      verify: (_req, _res, bytes, charset) => {
        if (charset.toLowerCase() !== "utf-8") throw new CharsetError();
        checkJson(bytes);
      },
    }),
  ];
  const get = (path: string, endpoint: Endpoint, handler: RequestHandler) => {
    const route = app.route(path).all(labelled(endpoint));
    route.get(handler).all(allowOnly("GET", "HEAD"));
  };
  const post = (path: string, endpoint: Endpoint, handler: RequestHandler) => {
    const route = app.route(path).all(labelled(endpoint));
    route.post(...readBody, handler).all(allowOnly("POST"));
  };

  // Probes come by whatever name.
  get("/health", "health", health);
  get("/v1/health", "health", health);
  app
    .route("/ping")
    .all(labelled("health"))
    .get(ping)
    .post(ping)
    .all(allowOnly("GET", "HEAD", "POST"));
  get("/ready", "ready", ready(service));
  app.use(guardHost(hosts), guardOrigin(origins));
  app.use(page());
  const metricsHandler: RequestHandler = async (_req, res) => {
    res.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  };
  if (security.isMetricsOpen) get("/metrics", "metrics", metricsHandler);

  // What comes after this needs a key.
  app.use(authenticate(security.keys), admit(security.admission));
  get("/metrics", "metrics", metricsHandler);
  get("/v1/models", "models", listModels(service, created));
  get("/v1/models/*id", "models", retrieveModel(service, created));
  get("/v1/experts", "experts", listExperts(service));
  get("/v1/experts/:task", "experts", retrieveExpert(service));
  get("/v1/experts/:task/plan", "experts", retrieveExpertPlan(service));
  for (const command of expertCommands) {
    const route = app.route(`/v1/experts/:task/${command}`).all(labelled("experts"));
    route.post(onlyDeliberate, commandExpert(service, command)).all(allowOnly("POST"));
  }
  post("/v1/chat/completions", "chat_completions", generationHandler(chatEndpoint, context));
  post("/v1/completions", "completions", generationHandler(completionEndpoint, context));
  const responses = new ResponseStore(responseStoreOptions);
  post("/v1/responses", "responses", createResponse(context, responses));
  app
    .route("/v1/responses/:id")
    .all(labelled("responses"))
    .get(retrieveResponse(responses))
    .delete(deleteResponse(responses))
    .all(allowOnly("GET", "HEAD", "DELETE"));
  get("/v1/responses/:id/input_items", "responses", listInputItems(responses));
  const json = <Body extends { readonly model?: string | undefined }>(
    endpoint: JsonEndpoint<Body>,
  ) => jsonHandler(endpoint, context);
  post("/v1/embeddings", "embeddings", json(embeddingsEndpoint));
  post("/v1/route", "route", json(routeEndpoint));
  get("/v1/router/map", "router_map", routerMap(service));
  post("/tokenize", "tokenize", json(tokenizeEndpoint));
  post("/detokenize", "detokenize", json(detokenizeEndpoint));
  post("/apply-template", "apply_template", json(applyTemplateEndpoint));
  get("/tokenizer_info", "tokenizer_info", tokenizerInfo(service));
  get("/openapi.json", "openapi", openApi());
  get("/version", "version", version);
  get("/props", "props", props(service));

  get(webSocketPath, "websocket", upgradeRequired);

  app.use((req) => {
    throw new RouteNotFoundError(req.method, req.path);
  });
  app.use(errorHandler(metrics, bodyLimitBytes));
  return app;
}
