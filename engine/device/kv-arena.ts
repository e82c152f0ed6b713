import type { LayerShape } from "../../model/weights/layer-spec.ts";

export interface ArenaSpec {
  /** Layers that keep KV here. */
  readonly layers: readonly LayerShape[];
  readonly headDim: number;
  /** Positions per slot. */
  readonly capacity: number;
  readonly numSlots: number;
  /** Most slots that there will ever be. @default numSlots */
  readonly maxSlots?: number;
  /** Positions are only copied in and out, as many as fill whole tails. @default false */
  readonly isStore?: boolean;
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

/** KV memory for several sequences of one stage. Neighbouring slots can be one batch. */
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
