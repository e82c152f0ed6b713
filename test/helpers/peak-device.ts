import { CpuDevice } from "../../engine/device/cpu-device.ts";

/** Knows the most KV memory that was ever allocated at once. */
export class PeakDevice extends CpuDevice {
  peakKvBytes = 0;

  protected override countKv(deltaBytes: number): void {
    super.countKv(deltaBytes);
    this.peakKvBytes = Math.max(this.peakKvBytes, this.kvBytes);
  }
}
