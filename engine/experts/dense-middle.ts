import { denseExpert, type ExpertSnapshot } from "../contract/experts.ts";
import { ExpertCounts } from "./expert-counts.ts";
import type { PooledMiddle } from "./pooled-middle.ts";
import type { StepCost } from "./serve-policy.ts";

/** The unpruned middle, which is always there. */
export class DenseMiddle implements PooledMiddle {
  readonly name = denseExpert;
  readonly counts = new ExpertCounts();
  readonly cost: StepCost;
  readonly #sizeBytes: number;

  constructor(cost: StepCost, sizeBytes: number) {
    this.cost = cost;
    this.#sizeBytes = sizeBytes;
    this.counts.measured(cost);
  }

  snapshot(): ExpertSnapshot {
    return {
      name: this.name,
      state: "resident",
      residentBytes: this.#sizeBytes,
      ...this.counts.snapshot(),
      ...{ built: null, progress: null, problem: null, retryAtMs: null, shadow: null },
    };
  }
}
