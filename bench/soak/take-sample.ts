import { readdirSync } from "node:fs";
import type { HttpSide } from "../http-side.ts";
import type { Sample } from "./verdict.ts";

const mebibyte = 2 ** 20;

/** What the server says of itself, and what the kernel says of it. */
export async function takeSample(side: HttpSide, atSeconds: number): Promise<Sample> {
  const response = await fetch(`${side.url}/metrics`);
  const page = await response.text();
  // Without labels, or with the sum over all of them.
  const metric = (name: string) => {
    const lines = [...page.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"))];
    return lines.reduce((sum, [, value]) => sum + Number(value), 0);
  };
  return {
    atSeconds,
    values: {
      residentMiB: side.residentBytes / mebibyte,
      heapMiB: metric("nodejs_heap_size_used_bytes") / mebibyte,
      externalMiB: metric("nodejs_external_memory_bytes") / mebibyte,
      files: readdirSync(`/proc/${side.pid}/fd`).length,
      threads: readdirSync(`/proc/${side.pid}/task`).length,
      handles: metric("nodejs_active_handles"),
      lagMs: 1000 * metric("nodejs_eventloop_lag_p99_seconds"),
    },
  };
}
