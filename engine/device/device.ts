import type { AttendingModel } from "../../runtime/attention-kinds.ts";
import type { StageModel, StageSpec } from "../../model/stages/stage-spec.ts";

export interface DeviceOptions {
  /** Threads of one forward pass. */
  readonly numThreads: number;
  /** Describes the model whose stages are to run. */
  readonly config: AttendingModel;
  /** Sequences that may be in one batch. @default 64 */
  readonly maxBatch?: number;
}

/**
 * Where stages run and keys and values (KV) live. One device per engine. Nothing above it touches a session, a tensor
 * or a KV buffer, so that a device may keep all three in memory that JavaScript cannot see; how it lays KV out, in which
 * classes and in numbers of what type, is its own matter.
 */
export interface Device {
  /** Bytes of the loaded stages' weights. */
  readonly weightBytes: number;
  /** Bytes of all KV, that of snapshots included. */
  readonly kvBytes: number;
  /** Tokens of one sequence in one pass beyond which a longer pass is no faster, and keeps others waiting. */
  readonly chunkTokens: number;
  /** @throws InferenceError when the stage cannot be loaded; nothing is kept then. */
  loadStage(model: StageModel): Promise<Stage>;

  /** Bytes that KV of a length takes on some stages. */
  kvBytesFor(stages: readonly Stage[], numTokens: number): number;
  /** Bytes that are held twice while KV of a length grows. */
  growthBytesFor(stages: readonly Stage[], numTokens: number): number;
  /**
   * KV of new sequences, with room for some tokens each. Those that are opened together go through a pass as one batch
   * as long as nothing makes more room for one of them.
   */
  openKv(stages: readonly Stage[], numTokens: number, numSequences?: number): Promise<SequenceKv[]>;
  /** Opens the sequence's KV on more stages, with room for as many tokens as it has on the others. */
  extendKv(kv: SequenceKv, stages: readonly Stage[], numTokens: number): Promise<void>;
  /**
   * Makes room for one more token of each sequence, in as few batches as `maxBytes` of KV memory for all of them
   * allow. What each needs by itself must fit.
   */
  makeRoom(kvs: readonly SequenceKv[], maxBytes: number): Promise<void>;
  /** Tokens that may come next in one stepwise pass, and of which any but the first may be taken back by `setLength`; 1 or more. */
  stepwiseRoom(kv: SequenceKv): number;
  /** The first `length` positions on all stages count, whatever was computed for them; those of a fresh KV are zero. */
  setLength(kv: SequenceKv, length: number): Promise<void>;

  /** Bytes of a snapshot. */
  snapshotBytesFor(stages: readonly Stage[], numTokens: number, withHidden: boolean): number;
  /**
   * A copy of a sequence's last positions on some stages.
   * @param hidden what the last of the stages gave for them, where that is to be kept too; stays the caller's
   */
  takeSnapshot(
    kv: SequenceKv,
    stages: readonly Stage[],
    numTokens: number,
    hidden: HiddenStates | null,
  ): Promise<KvSnapshot>;
  /**
   * Appends snapshots, in order, to the sequence's KV on the stages that they were taken of.
   * @returns copies of the hidden states that were kept with them, which are the caller's; null for those without
   */
  restoreSnapshots(
    kv: SequenceKv,
    stages: readonly Stage[],
    snapshots: readonly KvSnapshot[],
  ): Promise<(HiddenStates | null)[]>;

  /** What the passes of one step through several runs of stages have in common is made once. */
  createPass(): ForwardPass;
  /**
   * The numbers of hidden states, for JavaScript to look at. Shape `[numRows, hiddenSize]`; not to be changed, nor
   * kept when the states are disposed.
   */
  readRows(hidden: HiddenStates): Promise<Float32Array>;
  /** Resolves when everything that was asked for has been computed: what a clock says after it is true. */
  settle(): Promise<void>;
}

/** A loaded stage. */
export interface Stage {
  readonly spec: StageSpec;
  /** Bytes of the weights alone. */
  readonly weightBytes: number;
  /** May be called twice. */
  dispose(): Promise<void>;
}

/** The keys and values of one sequence on some stages. */
export interface SequenceKv {
  /** Bytes that its memory takes. */
  readonly sizeBytes: number;
  /** May be called twice. */
  release(): void;
}

export interface KvSnapshot {
  /** With the hidden states. */
  readonly sizeBytes: number;
  /** May be called twice. */
  dispose(): void;
}

/** Residual stream of one sequence between two stages, one row per token: `[numRows, hiddenSize]`. */
export interface HiddenStates {
  readonly numRows: number;
  readonly sizeBytes: number;
  /** May be called twice. */
  dispose(): void;
}

/** The next tokens of a sequence: their ids for a stage with the embedding, else their hidden states. At least one. */
export interface PassInput {
  readonly kv: SequenceKv;
  readonly input: Uint32Array | HiddenStates;
  /**
   * What comes of each token is bit for bit what comes of it when it comes alone after those before it; of no more tokens
   * than `stepwiseRoom`. @default false
   */
  readonly isStepwise?: boolean;
}

export interface LogitsInput extends PassInput {
  /** Tokens of the input whose logits are wanted, each in `[0, numTokens)`. */
  readonly rows: readonly number[];
}

/**
 * New tokens of some sequences on their way through the stages. The sequences may bring different numbers of tokens.
 * Passes of one device never overlap: the caller awaits each.
 */
export interface ForwardPass {
  /**
   * Runs stages one after the other and appends what they compute to the sequences' KV.
   * @returns hidden states by input, which are the caller's; of a stage with the head, those that its norm would take
   * @throws InferenceError; the KV of the sequences is of no use then
   */
  forward(stages: readonly Stage[], inputs: readonly PassInput[]): Promise<HiddenStates[]>;
  /**
   * As `forward`, through the stage with the head.
   * @returns by input, logits `[rows.length, vocabSize]`
   * @throws InferenceError; the KV of the sequences is of no use then
   */
  forwardLogits(head: Stage, inputs: readonly LogitsInput[]): Promise<Float32Array[]>;
}
