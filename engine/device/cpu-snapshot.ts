import type { CpuArena } from "./cpu-arena.ts";
import type { CpuHidden } from "./cpu-hidden.ts";
import type { CpuKv } from "./cpu-kv.ts";
import type { CpuStage } from "./cpu-stage.ts";
import type { KvSnapshot } from "./device.ts";
import type { ArenaSpec } from "./kv-arena.ts";
import { tailPositions } from "./kv-tail.ts";

/** Positions of a sequence, each stage's in an arena of one slot. */
export class CpuSnapshot implements KvSnapshot {
  readonly sizeBytes: number;
  readonly hidden: CpuHidden | null;
  readonly #arenas: readonly CpuArena[];

  private constructor(arenas: readonly CpuArena[], hidden: CpuHidden | null) {
    this.#arenas = arenas;
    this.hidden = hidden;
    this.sizeBytes = arenas.reduce((sum, arena) => sum + arena.sizeBytes, hidden?.sizeBytes ?? 0);
  }

  /** The last `length` positions of a sequence on some stages. */
  static take(
    createArena: (spec: ArenaSpec) => CpuArena,
    { kv, stages, length, hidden }: SnapshotOptions,
  ): CpuSnapshot {
    const arenas = stages.map((stage) => {
      const { layers, headDim } = stage.spec;
      const { arena, index: from, length: end } = kv.slotOn(stage);
      const isStore = length % tailPositions === 0;
      const target = createArena({ layers, headDim, capacity: length, numSlots: 1, isStore });
      arena.copyRange({ from, fromStart: end - length, target, to: 0, toStart: 0, length });
      return target;
    });
    return new CpuSnapshot(arenas, hidden && hidden.copy());
  }

  /** Appends it to a sequence that has room for it. */
  restore(kv: CpuKv, stages: readonly CpuStage[]): void {
    for (const [i, stage] of stages.entries()) {
      const { capacity: length } = this.#arenas[i]!;
      const slot = kv.slotOn(stage);
      const { arena: target, index: to, length: toStart } = slot;
      this.#arenas[i]!.copyRange({ from: 0, fromStart: 0, target, to, toStart, length });
      stage.pool.setLength(slot, toStart + length);
    }
  }

  /** Positions that it holds. */
  get length(): number {
    return this.#arenas[0]?.capacity ?? 0;
  }

  dispose(): void {
    for (const arena of this.#arenas) arena.dispose();
    this.hidden?.dispose();
  }
}

export interface SnapshotOptions {
  readonly kv: CpuKv;
  readonly stages: readonly CpuStage[];
  readonly length: number;
  readonly hidden: CpuHidden | null;
}
