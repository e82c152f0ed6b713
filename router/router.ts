/** Strategies that a router can be of. */
export type RouterKind = "clusters" | "logistic";

/** What a router reads of a prompt. */
export type FeatureKind =
  | "trunk" // of a FeaturePool, from the trunk's output
  | "embedding"; // meanEmbedding

export type DecisionReason = "matched" | "out-of-distribution"; // nearer to other prompts, or to none, than to those of a task

export interface TaskScore {
  readonly task: string;
  /** Among the tasks, 0 to 1; all together 1. */
  readonly probability: number;
}

export interface NearbyCluster {
  /** Null for prompts of no task. */
  readonly task: string | null;
  /** Number within the task. */
  readonly cluster: number;
  /** In the whitened space: 1 is about what prompts of a task differ by in one direction. */
  readonly distance: number;
}

/** Which expert a prompt should get. */
export interface Decision {
  /** Null for none of the tasks. */
  readonly task: string | null;
  /** Probability that the prompt is of the best task and of no other and not of none. 0 to 1. */
  readonly confidence: number;
  readonly reason: DecisionReason;
  /** Log-odds of the best task over the second best, at least 0; infinite where there is no second. */
  readonly margin: number;
  /**
   * How unlike the prompts of the tasks it is; above `threshold` it is out of distribution. The threshold was
   * set by the share of own prompts that may be turned away.
   */
  readonly strangeness: number;
  readonly threshold: number;
  /** By falling probability. */
  readonly scores: readonly TaskScore[];
  /** The nearest few, nearest first; empty where a strategy has none. */
  readonly nearest: readonly NearbyCluster[];
  /** Where the prompt lies in the router's space; absent where a strategy has none. */
  readonly place?: readonly number[];
}

/** Chooses a task for a prompt. The same features give the same decision. */
export interface Router {
  readonly kind: RouterKind;
  readonly featureKind: FeatureKind;
  /** Length of the features that it takes. */
  readonly numFeatures: number;
  /** Sorted. */
  readonly tasks: readonly string[];
  /** Content hash of the model that it was fitted for; null fits any. */
  readonly model: string | null;
  /** @throws RangeError when there are not `numFeatures` features. */
  route(features: Float32Array): Decision;
}

/** @throws RangeError */
export function checkFeatures(router: Router, features: Float32Array): void {
  if (features.length === router.numFeatures) return;
  throw new RangeError(`features: expected ${router.numFeatures} numbers, got ${features.length}`);
}
