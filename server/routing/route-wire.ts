import type { Response } from "express";
import type { RoutedEvent } from "../../engine/contract/request.ts";
import { noTask } from "../config/rules.ts";
import { taskHeader } from "./request-routing.ts";

/** A route as answers spell it: the `seap` object of a body. */
export interface WireRoute {
  readonly task: string;
  readonly expert: string;
  /** 0 to 1, to four digits. */
  readonly confidence: number;
  /** Why it is not the expert that the task is meant to have; where it is, as `route`. */
  readonly reason: string;
  /** Why it is that task. */
  readonly route: string;
}

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
