import type { CpuArena } from "./cpu-arena.ts";
import type { CpuStage } from "./cpu-stage.ts";
import type { SequenceKv } from "./device.ts";
import { capacityFor } from "./kv-capacity.ts";
import { tailPositions } from "./kv-tail.ts";
import type { KvSlot } from "./kv-pool.ts";

export type CpuSlot = KvSlot<CpuArena>;

/** Where each stage keeps a sequence's KV. */
export class CpuKv implements SequenceKv {
  readonly #slots = new Map<CpuStage, CpuSlot>();

  get sizeBytes(): number {
    let sum = 0;
    for (const [stage, { arena }] of this.#slots) {
      sum += (arena.capacity + tailPositions) * stage.bytesPerPosition;
    }
    return sum;
  }

  /** Positions that it has room for on its first stage, where it is no smaller than on the others. */
  get capacity(): number {
    return this.#first.arena.capacity;
  }

  /** Positions in use on its first stage. */
  get length(): number {
    return this.#first.length;
  }

  /** KV bytes of one position on all stages. */
  get bytesPerPosition(): number {
    let sum = 0;
    for (const stage of this.#slots.keys()) sum += stage.bytesPerPosition;
    return sum;
  }

  slotOn(stage: CpuStage): CpuSlot {
    const slot = this.#slots.get(stage);
    if (slot === undefined) throw new Error(`The sequence has no KV on stage ${stage.spec.name}.`);
    return slot;
  }

  add(stage: CpuStage, slot: CpuSlot): void {
    this.#slots.set(stage, slot);
  }

  /** Makes room for more positions on one stage. @returns where they begin */
  makeRoomOn(stage: CpuStage, numTokens: number): CpuSlot {
    const slot = this.slotOn(stage);
    stage.pool.grow(slot, capacityFor(slot.length + numTokens));
    return slot;
  }

  /** Joins the shared arenas of a capacity class. */
  join(capacity: number): void {
    for (const [stage, slot] of this.#slots) stage.pool.join(slot, capacity);
  }

  setLength(length: number): void {
    for (const [stage, slot] of this.#slots) {
      stage.pool.grow(slot, capacityFor(length));
      stage.pool.setLength(slot, length);
    }
  }

  release(): void {
    for (const [stage, slot] of this.#slots) stage.pool.release(slot);
    this.#slots.clear();
  }

  get #first(): CpuSlot {
    for (const slot of this.#slots.values()) return slot;
    throw new Error("The sequence has no KV.");
  }
}
