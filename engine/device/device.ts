import type { StageModel, StageSpec } from "../../model/stages/stage-spec.ts";
import type { LayerShape } from "../../model/weights/layer-spec.ts";

export interface DeviceOptions {
  /** Threads of one forward pass. */
  readonly numThreads: number;
  /** Radians per position, shape `[headDim / 2]`. */
  readonly ropeInverseFrequencies: Float32Array;
}

/**
 * Where stages run and KV memory lives. One device per engine; nothing above it touches a session, a
 * tensor or a KV buffer, so that a device may keep all three in memory that JavaScript cannot see.
 */
export interface Device {
  /** Bytes of the loaded stages' weights. */
  readonly weightBytes: number;
  /** Bytes of the allocated arenas. */
  readonly kvBytes: number;
  /**
   * Makes of a stage what runs here. Its weights stay the caller's, and are not read afterwards.
   * @throws InferenceError when it cannot be loaded; nothing is kept then.
   */
  loadStage(model: StageModel): Promise<Stage>;
  createArena(spec: ArenaSpec): KvArena;
  /**
   * The next tokens of some sequences.
   * @param pastLengths positions in use before the pass, per sequence; after it, `numNewTokens` more are
   * @param numNewTokens per sequence, the same for all
   */
  createPass(pastLengths: readonly number[], numNewTokens: number): ForwardPass;
  /**
   * New hidden states made of rows of others: how sequences move between batches.
   * The sources stay valid.
   */
  gatherRows(rows: readonly HiddenRow[]): HiddenStates;
  /**
   * The numbers of hidden states, for JavaScript to look at. Shape `[numRows, hiddenSize]`; not to be changed, nor
   * kept when the states are disposed.
   */
  readRows(hidden: HiddenStates): Promise<Float32Array>;
}

export interface HiddenRow {
  readonly source: HiddenStates;
  readonly row: number;
}

/** Residual stream between two stages, one row per token: `[numRows, hiddenSize]`. */
export interface HiddenStates {
  readonly numRows: number;
  readonly sizeBytes: number;
  /** May be called twice. */
  dispose(): void;
}

export interface ArenaSpec {
  /** Layers that keep KV here. */
  readonly layers: readonly LayerShape[];
  readonly headDim: number;
  /** Positions per slot. */
  readonly capacity: number;
  readonly numSlots: number;
  /** Most slots that there will ever be. @default numSlots */
  readonly maxSlots?: number;
}

/** Positions of a slot, and where they are copied to. */
export interface KvRange {
  readonly from: number;
  readonly fromStart: number;
  /** With the same layers. */
  readonly target: KvArena;
  readonly to: number;
  readonly toStart: number;
  readonly length: number;
}

/** KV memory for several sequences of one stage. Slots `0 .. n - 1` can be one batch. */
export interface KvArena {
  readonly capacity: number;
  readonly numSlots: number;
  readonly sizeBytes: number;
  /**
   * Moves the first `length` positions of a slot to a new last slot of an arena with the same layers; the rest of that
   * one is zero: a NaN left there would spoil sums even where its weight is 0. The own last slot takes the place of the
   * one that goes. Meanwhile no more is held twice than the keys or values of one layer.
   */
  moveSlot(from: number, target: KvArena, length: number): void;
  /** The last slot takes its place. */
  removeSlot(slot: number): void;
  copyRange(range: KvRange): void;
  /** May be called twice. */
  dispose(): void;
}

/**
 * New tokens on their way through the stages. The same pass is given to all stages that they go through, so that a device
 * makes only once what depends on nothing else.
 */
export interface ForwardPass {
  readonly pastLengths: readonly number[];
  readonly numNewTokens: number;
}

/** Neighbouring slots of one stage's arena, one for each sequence of a pass. */
export interface ForwardBatch {
  readonly arena: KvArena;
  readonly firstSlot: number;
  readonly pass: ForwardPass;
}

/** Token ids `[numSequences, numNewTokens]` for a stage with the embedding, else hidden states. */
export type StageInput = Uint32Array | HiddenStates;

/** A loaded stage. Passes of one device never overlap: the caller awaits each. */
export interface Stage {
  readonly spec: StageSpec;
  /** Of its weights. */
  readonly weightBytes: number;
  /**
   * Appends the new tokens' KV to the arena and returns the stage's hidden states; of a stage with the head, those that
   * its norm would take.
   * @throws InferenceError
   */
  forward(input: StageInput, batch: ForwardBatch): Promise<HiddenStates>;
  /**
   * As `forward`, for a stage with the head: logits `[numSequences, rows.length, vocabSize]` of some of
   * the new tokens, the same ones of each sequence.
   * @param rows each in `[0, numNewTokens)`
   * @throws InferenceError
   */
  forwardLogits(
    input: StageInput,
    batch: ForwardBatch,
    rows: readonly number[],
  ): Promise<Float32Array>;
  /** May be called twice. */
  dispose(): Promise<void>;
}
