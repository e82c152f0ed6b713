import { CpuDevice } from "./cpu-device.ts";
import type { Device, DeviceOptions } from "./device.ts";

/** The device that stages run on. What kind it is, is chosen nowhere else. */
export function openDevice(options: DeviceOptions): Promise<Device> {
  return Promise.resolve(new CpuDevice(options));
}
