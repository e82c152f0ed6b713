import type { ExpertCounts } from "./expert-counts.ts";
import type { StepCost } from "./serve-policy.ts";

/** What sequences run on between trunk and head. */
export interface PooledMiddle {
  readonly name: string;
  readonly counts: ExpertCounts;
  /** Null while it takes no new sequences. */
  readonly cost: StepCost | null;
}
