import type { WirePosition } from "./router-map.ts";

/** Answer of `POST /v1/route`. */
export interface WireRouteReading {
  readonly object: "route";
  readonly model: string;
  readonly task: string;
  readonly confidence: number;
  readonly reason: string;
  /** What the router thinks of the prompt; null where it was not asked. */
  readonly router: {
    readonly task: string;
    readonly confidence: number;
    readonly reason: string;
    /** Log-odds over the second best task; null where there is none. */
    readonly margin: number | null;
    readonly strangeness: number;
    readonly threshold: number;
    readonly scores: readonly { readonly task: string; readonly probability: number }[];
    readonly nearest: readonly {
      readonly task: string;
      readonly cluster: number;
      readonly distance: number;
    }[];
    readonly position: WirePosition | null;
  } | null;
  readonly routing_seconds: number;
  readonly usage: { readonly prompt_tokens: number };
}
