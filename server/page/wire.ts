import type { WireExpert, WireExpertList } from "../experts/expert-wire.ts";

export type { WireExpert, WireExpertList };

/** Answer of `GET /v1/models`, as far as the page reads it. */
export interface WireModels {
  readonly data: readonly { readonly id: string; readonly root: string }[];
}

export type Position = readonly [x: number, y: number];

/** Answer of `GET /v1/router/map`. */
export interface WireRouterMap {
  readonly tasks: readonly string[];
  readonly clusters: readonly { readonly task: string; readonly position: Position }[];
  readonly share: number | null;
}

/** Answer of `POST /v1/route`, as far as the page reads it. */
export interface WireRoute {
  readonly router: {
    readonly task: string;
    readonly confidence: number;
    readonly position: Position | null;
  } | null;
}

/** Answer of `GET /v1/experts/{task}/plan`, as far as the page reads it. */
export interface WirePlan {
  readonly task: string;
  readonly sparsity: { readonly middle: number; readonly model: number };
  readonly first_layer: number;
  readonly dense: { readonly heads: number; readonly channels: number };
  readonly layers: readonly {
    readonly kept_heads: readonly number[];
    readonly kept_channels: readonly number[];
  }[];
}
