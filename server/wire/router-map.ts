/** Answer of `GET /v1/router/map`. */
export interface WireRouterMap {
  readonly object: "router_map";
  readonly tasks: readonly string[];
  readonly clusters: readonly { readonly task: string; readonly position: WirePosition }[];
  /** Of what the clusters lie apart, as much is to be seen. 0 to 1; null without a map. */
  readonly share: number | null;
}

export type WirePosition = readonly [x: number, y: number];
