import type { Response } from "express";
import type { RoutedEvent } from "../../engine/request.ts";
import { noTask } from "./rules.ts";
import { taskHeader } from "./request-routing.ts";

/** A route as answers spell it: the `seap` object of a body. */
export interface WireRoute {
  readonly task: string;
  readonly expert: string;
  /** 0 to 1, to four digits. */
  readonly confidence: number;
  readonly reason: string;
}

export function toWireRoute({ task, expert, confidence, reason }: RoutedEvent): WireRoute {
  const rounded = Math.round(confidence * 1e4) / 1e4;
  return { task: task ?? noTask, expert, confidence: rounded, reason };
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
