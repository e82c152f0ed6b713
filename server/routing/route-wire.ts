import type { Response } from "express";
import type { Route } from "../../client/messages.ts";
import type { RoutedEvent } from "../../engine/contract/request.ts";
import { noTask } from "../config/rules.ts";
import { taskHeader } from "./request-routing.ts";

/** A route as answers spell it: the `seap` object of a body. */
export type WireRoute = Route;

export function toWireRoute(event: RoutedEvent): WireRoute {
  const { task, expert, confidence, reason: route, serveReason } = event;
  const isMeant = ["expert", "no-task", "off"].includes(serveReason);
  const rounded = Math.round(confidence * 1e4) / 1e4;
  const reason = isMeant ? route : serveReason;
  return { task: task ?? noTask, expert, confidence: rounded, reason, route };
}

export function setRouteHeaders(res: Response, event: RoutedEvent): void {
  const { task, expert, confidence, reason } = toWireRoute(event);
  res.set({
    [taskHeader]: task,
    "x-seap-expert": expert,
    "x-seap-confidence": String(confidence),
    "x-seap-reason": reason,
  });
}
