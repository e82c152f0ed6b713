/** Answer of `GET /v1/experts/{task}/plan`. */
export interface WirePlan {
  readonly object: "expert_plan";
  readonly task: string;
  /** How the plan was made. */
  readonly recipe: Readonly<Record<string, string | number | boolean | null>>;
  /** Shares of the weights that are gone. */
  readonly sparsity: { readonly middle: number; readonly blocks: number; readonly model: number };
  /** Of the model, from 0. */
  readonly first_layer: number;
  readonly dense: {
    readonly heads: number;
    readonly kv_heads: number;
    readonly channels: number;
  };
  readonly layers: readonly {
    readonly kept_heads: readonly number[];
    readonly kept_kv_heads: readonly number[];
    readonly kept_channels: readonly number[];
  }[];
}
