import type { BuiltExpert } from "../contract/experts.ts";
import type { StepCost } from "./serve-policy.ts";

/** An expert in memory. Whoever loaded it releases it, once. */
export interface ExpertHandle {
  /** Measured when it was loaded. */
  readonly cost: StepCost;
  /** Settles when its memory is free. Nothing runs on it any more. */
  release(): Promise<void>;
}

/** Where experts are held. */
export interface ExpertDevice {
  /**
   * May be called for several experts at once. Nothing of it stays in memory when this rejects.
   *
   * @param name by which sequences run on it: a task, or `general`
   * @throws ArtifactError when it is damaged on disk, and InferenceError when there is no memory for it
   */
  load(built: BuiltExpert, name: string): Promise<ExpertHandle>;
}
