import { SeapError } from "../../model/errors.ts";

/** A task in the background took more than it may. */
export class TaskLimitError extends SeapError {
  readonly code = "task_limit";

  /** @param limit - with its unit */
  constructor(limit: string) {
    super(`The task takes more than ${limit}.`);
  }
}
