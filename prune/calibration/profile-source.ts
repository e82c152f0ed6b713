import type { Profile } from "./profile.ts";

/** Profiles of a model, calibrated when they are first asked for. All have Gram matrices. */
export interface ProfileSource {
  /** Routing labels. */
  readonly tasks: readonly string[];
  /** @throws CalibrationError, CorpusError */
  profileOf(task: string): Promise<Profile>;
  /**
   * Over equal parts of all tasks' corpora.
   * @param share of the tokens that a task's own profile is of. @default 1
   * @throws CalibrationError, CorpusError
   */
  general(share?: number): Promise<Profile>;
}
