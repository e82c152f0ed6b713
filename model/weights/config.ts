import type { RowRange, StoredMatrix } from "../files/checkpoint.ts";
import type { LayerDescription, NormRole, ProjectionRole } from "./layer-spec.ts";

/** Dimensions and constants of one decoder-only transformer, independent of the file it came from. */
export interface ModelConfig {
  /** Architecture table key, for instance `llama`. */
  readonly architecture: string;
  readonly numLayers: number;
  /** What each of the `numLayers` layers computes. */
  readonly layers: readonly LayerDescription[];
  readonly hiddenSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** MLP channels. */
  readonly intermediateSize: number;
  readonly vocabSize: number;
  /** Largest number of positions the model was trained for. */
  readonly contextLength: number;
  readonly rmsNormEps: number;
  /** Multiplies the rows of the embedding. */
  readonly embeddingScale: number;
  /** Multiplies the logits. */
  readonly logitScale: number;
  /** What layers say their rotary embedding by. */
  readonly rotaryTables: readonly RotaryAngles[];
  /** The LM head is the embedding matrix. */
  readonly tiedEmbeddings: boolean;
}

/** How far pairs of values are turned. */
export interface RotaryAngles {
  /**
   * Radians per position, one for each pair, scaling (Llama 3, linear, LongRoPE) already applied. Shape
   * `[rotary.size / 2]`.
   */
  readonly frequencies: Float32Array;
  /** Multiplies cosines and sines. */
  readonly magnitude: number;
}

/** Roles of a layer's tensors. */
export type LayerTensorRole = ProjectionRole | NormRole;

/** What is added to a projection's results. Shape `[outFeatures]`. */
export type BiasRole = `${ProjectionRole}Bias`;

/** Roles of the tensors outside the layers. */
export type ModelTensorRole =
  | "embedding" // [vocabSize, hiddenSize]
  | "finalNorm" // [hiddenSize]
  | "lmHead"; // [vocabSize, hiddenSize]; the embedding where embeddings are tied

/**
 * A model's weights by role, read on demand: nothing is held between two calls.
 * Every tensor was checked against `config` when the model was opened.
 */
export interface ModelWeights {
  readonly config: ModelConfig;
  /** Content identity of the files, hex; changes when any weight changes. */
  readonly contentHash: string;
  /** @param rows those that are read @default all @throws ModelLoadError when the file cannot be read any more. */
  readTensor(role: ModelTensorRole, rows?: RowRange): Float32Array;
  /**
   * @param role one that the layer's description has
   * @param rows those that are read @default all
   * @throws ModelLoadError when the file cannot be read any more.
   */
  readLayerTensor(layer: number, role: LayerTensorRole, rows?: RowRange): Float32Array;
  /** How a matrix is stored. Absent where that is not known: as fp32. @param layer null outside the layers */
  storedMatrix?(layer: number | null, role: ModelTensorRole | ProjectionRole): StoredMatrix;
  /**
   * Null for none. Besides the model's own, compensation adds to a pruned layer's last projections: a module that is
   * left out may still have its bias.
   */
  readLayerBias(layer: number, role: BiasRole): Float32Array | null;
  close(): void;
}
