import type { Profile } from "./profile.ts";

/** Profiles of a model, calibrated when they are first asked for. All have Gram matrices. */
export interface ProfileSource {
  /** Routing labels. */
  readonly tasks: readonly string[];
  /** @throws CalibrationError, CorpusError */
  profileOf(task: string): Promise<Profile>;
  /** Over equal parts of all tasks' corpora. @throws CalibrationError, CorpusError */
  general(): Promise<Profile>;
}
