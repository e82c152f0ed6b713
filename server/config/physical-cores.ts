import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/**
 * Cores that this process may use, hardware threads of one core counted once: a second thread on a core
 * adds nothing to matrix arithmetic. A container's CPU limit counts too, rounded up.
 * @param systemFolder - where Linux describes the machine; elsewhere all hardware threads are counted
 */
export function physicalCores(systemFolder = "/sys"): number {
  const available = availableParallelism();
  const cores = countCores(join(systemFolder, "devices/system/cpu")) ?? available;
  const quota = containerLimit(join(systemFolder, "fs/cgroup/cpu.max")) ?? available;
  return Math.min(cores, quota, available);
}

function countCores(folder: string): number | undefined {
  try {
    const cpus = readdirSync(folder).filter((name) => /^cpu\d+$/.test(name));
    const siblings = cpus.map((cpu) =>
      readFileSync(join(folder, cpu, "topology/thread_siblings_list"), "utf8").trim(),
    );
    return siblings.length > 0 ? new Set(siblings).size : undefined;
  } catch {
    return undefined;
  }
}

/** The file holds `quota period` in microseconds; the quota is `max` where there is none. */
function containerLimit(file: string): number | undefined {
  try {
    const [quota, period] = readFileSync(file, "utf8").trim().split(" ").map(Number);
    const limit = Math.ceil(quota! / period!);
    return Number.isFinite(limit) && limit > 0 ? limit : undefined;
  } catch {
    return undefined;
  }
}
