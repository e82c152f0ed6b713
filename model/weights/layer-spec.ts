/** Matrices of a layer by what they compute, `[outFeatures, inFeatures]`, row-major. */
export type ProjectionRole =
  | "query" // [numHeads * headDim, hiddenSize]
  | "key" // [numKvHeads * headDim, hiddenSize]
  | "value" // [numKvHeads * headDim, hiddenSize]
  | "output" // [hiddenSize, numHeads * headDim]
  | "gate" // [intermediateSize, hiddenSize]
  | "up" // [intermediateSize, hiddenSize]
  | "down"; // [hiddenSize, intermediateSize]

export function isProjection(role: ProjectionRole | NormRole): role is ProjectionRole {
  return !role.endsWith("Norm");
}

/** RMS norms of a layer by where they are. */
export type NormRole =
  | "attentionNorm" // of what attention reads, [hiddenSize]
  | "queryNorm" // of each query head, before rotation, [headDim]
  | "keyNorm" // of each key head, before rotation, [headDim]
  | "attentionPostNorm" // of what attention adds to the residual stream, [hiddenSize]
  | "mlpNorm" // of what the MLP reads, [hiddenSize]
  | "mlpPostNorm"; // of what the MLP adds to the residual stream, [hiddenSize]

/** What the gate's values go through: x * sigmoid(x), or GELU by its approximation with tanh. */
export type Activation = "silu" | "gelu-tanh";

/** How queries and keys are turned by their position. */
export interface RotaryKind {
  /** Which of the model's `rotaryTables`. */
  readonly table: number;
  /** Values of a head that are turned, its first ones: twice the table's frequencies. */
  readonly size: number;
  /** True when the values of a pair are neighbours, false when they are half of `size` apart. */
  readonly isInterleaved: boolean;
}

/** What a layer computes, apart from its widths. */
export interface LayerDescription {
  /** The norms that there are. */
  readonly norms: readonly NormRole[];
  /** The projections that have a bias. */
  readonly biases: readonly ProjectionRole[];
  readonly activation: Activation;
  readonly rotary: RotaryKind;
  /** Positions that a token sees, its own and those before it; null for all. */
  readonly window: number | null;
  /** Multiplies products of queries and keys; 1 / sqrt(headDim) as a rule. */
  readonly scoreScale: number;
  /** Multiplies what attention and MLP add to the residual stream. */
  readonly residualScale: number;
}

/** Widths of a layer; pruning makes them differ. 0 heads or 0 channels: the module is left out. */
export interface LayerShape {
  /** Query heads, a multiple of `numKvHeads`. */
  readonly numHeads: number;
  readonly numKvHeads: number;
  /** MLP channels. */
  readonly intermediateSize: number;
}

/** The widths alone: those of an unpruned layer when given a model's configuration. */
export function denseShape({ numHeads, numKvHeads, intermediateSize }: LayerShape): LayerShape {
  return { numHeads, numKvHeads, intermediateSize };
}

/** All that there is to know of a layer but its weights. */
export interface LayerSpec extends LayerDescription, LayerShape {}

/** A layer of Llama, which other architectures say their differences from. */
export function plainLayer(options: {
  readonly headDim: number;
  /** @default headDim */
  readonly rotarySize?: number;
  readonly isInterleaved: boolean;
}): LayerDescription {
  const { headDim, rotarySize = headDim, isInterleaved } = options;
  return {
    norms: ["attentionNorm", "mlpNorm"],
    biases: [],
    activation: "silu",
    rotary: { table: 0, size: rotarySize, isInterleaved },
    window: null,
    scoreScale: 1 / Math.sqrt(headDim),
    residualScale: 1,
  };
}
