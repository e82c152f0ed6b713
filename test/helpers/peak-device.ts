import { CpuArena } from "../../engine/device/cpu-arena.ts";
import { CpuDevice } from "../../engine/device/cpu-device.ts";
import type { ArenaSpec, KvArena } from "../../engine/device/device.ts";

/** Knows the most KV memory that was ever allocated at once. */
export class PeakDevice extends CpuDevice {
  peakKvBytes = 0;
  #kvBytes = 0;

  override get kvBytes(): number {
    return this.#kvBytes;
  }

  override createArena(spec: ArenaSpec): KvArena {
    return new CpuArena(spec, (delta) => {
      this.#kvBytes += delta;
      this.peakKvBytes = Math.max(this.peakKvBytes, this.#kvBytes);
    });
  }
}
