import { SeapError } from "../../model/errors.ts";

/** Evaluation data is absent or has a line that cannot be used. */
export class EvaluationError extends SeapError {
  readonly code = "evaluation";
}
