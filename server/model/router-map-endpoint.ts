import type { RequestHandler } from "express";
import type { WireRouterMap } from "../wire/router-map.ts";
import type { ModelService } from "./model-service.ts";
import { noTask } from "../config/rules.ts";

/** GET /v1/router/map: the space of hidden states that the router decides in, in two dimensions. */
export function routerMap(service: ModelService): RequestHandler {
  return (_req, res) => {
    const { tasks, routerMap } = service.ready();
    const map = routerMap();
    const clusters = map?.clusters ?? [];
    const answer: WireRouterMap = {
      object: "router_map",
      tasks,
      clusters: clusters.map(({ task, position }) => ({ task: task ?? noTask, position })),
      share: map?.share ?? null,
    };
    res.json(answer);
  };
}
