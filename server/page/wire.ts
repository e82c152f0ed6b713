export type { WireExpert, WireExpertList } from "../experts/expert-wire.ts";
export type { WirePlan } from "../wire/expert-plan.ts";
export type { WireRouteReading } from "../wire/route-reading.ts";
export type { WirePosition, WireRouterMap } from "../wire/router-map.ts";

/** Answer of `GET /v1/models`, as far as the page reads it. */
export interface WireModels {
  readonly data: readonly { readonly id: string; readonly root: string }[];
}
