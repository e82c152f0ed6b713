import type { Request, RequestHandler } from "express";
import type { ExpertSnapshot } from "../../engine/contract/experts.ts";
import type { ExpertCommand } from "../../engine/contract/request.ts";
import { ArtifactStore } from "../../model/experts/artifact-store.ts";
import { readStoredPlan } from "../../model/experts/expert-artifact.ts";
import { ExpertNotFoundError, ExpertPlanNotFoundError } from "../base/errors.ts";
import type { ModelService } from "./model-service.ts";
import { toWireExpert, toWireExperts } from "../experts/expert-wire.ts";
import { toWirePlan } from "./plan-wire.ts";

/** What can be done to an expert. */
export const expertCommands: readonly ExpertCommand[] = ["build", "load", "evict"];

/** GET /v1/experts */
export function listExperts(service: ModelService): RequestHandler {
  return (_req, res) => {
    const { engine, experts } = service.ready();
    res.json(toWireExperts(engine.experts(), experts?.memoryBytes ?? 0));
  };
}

/** GET /v1/experts/{task} */
export function retrieveExpert(service: ModelService): RequestHandler {
  return (req, res) => {
    res.json(toWireExpert(namedExpert(service, req)));
  };
}

/** GET /v1/experts/{task}/plan: what its artifact keeps of the model. */
export function retrieveExpertPlan(service: ModelService): RequestHandler {
  return async (req, res) => {
    const { name, built } = namedExpert(service, req);
    const { middle } = service.ready();
    const plan = built && (await readStoredPlan(new ArtifactStore(built.storeDir), built.key));
    if (plan === null) throw new ExpertPlanNotFoundError(name);
    res.json(toWirePlan(name, plan, middle));
  };
}

/** POST /v1/experts/{task}/{command}: begins what was asked for, and tells the expert as it is then. */
export function commandExpert(service: ModelService, command: ExpertCommand): RequestHandler {
  return async (req, res) => {
    const { name } = namedExpert(service, req);
    const expert = await service.ready().engine.commandExpert(name, command);
    res.status(202).json(toWireExpert(expert));
  };
}

/** @throws ExpertNotFoundError */
function namedExpert(service: ModelService, req: Request): ExpertSnapshot {
  const experts = service.ready().engine.experts();
  const name = String(req.params["task"]);
  const expert = experts.find((each) => each.name === name);
  if (expert !== undefined) return expert;
  throw new ExpertNotFoundError(
    name,
    experts.map((each) => each.name),
  );
}
