import type { ExpertSnapshot } from "../../engine/contract/experts.ts";

/** An expert that nobody has asked for, but for what is said of it. */
export function expertSnapshot(
  name: string,
  rest: Partial<Omit<ExpertSnapshot, "name">> = {},
): ExpertSnapshot {
  return {
    name,
    state: "absent",
    residentBytes: 0,
    built: null,
    progress: null,
    running: 0,
    hits: 0,
    misses: 0,
    evictions: 0,
    evictionReasons: {},
    loads: 0,
    loadsPutOff: 0,
    loadSeconds: null,
    stepSeconds: null,
    lastUsedMs: null,
    problem: null,
    retryAtMs: null,
    shadow: null,
    ...rest,
  };
}
