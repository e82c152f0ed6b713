/** After so long a request counts for half. */
const halfLifeMs = 30_000;

/** One asked for no more than this is not busy. */
const calmDemand = 2;

/** How much an expert is asked for of late: requests count for less the longer ago they were. */
export class ExpertDemand {
  #count = 0;
  #countedAtMs = 0;

  add(nowMs: number): void {
    this.#count = this.at(nowMs) + 1;
    this.#countedAtMs = nowMs;
  }

  /** A request of just now counts 1. */
  at(nowMs: number): number {
    return this.#count * 2 ** ((this.#countedAtMs - nowMs) / halfLifeMs);
  }
}

/**
 * Whether an idle expert leaves for another one that would be loaded. Where more tasks are busy than there is memory
 * for, their experts would else come and go with each request: a busy one stays unless the other is asked for twice
 * as much. One that nobody asks for any more always leaves in the end.
 */
export function leavesFor(demand: number, demandOfOther: number): boolean {
  return demand <= calmDemand || 2 * demand <= demandOfOther;
}
