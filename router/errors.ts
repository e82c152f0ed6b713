import { SeapError } from "../model/errors.ts";

/** A router cannot be fitted, or does not belong to the model. */
export class RouterError extends SeapError {
  readonly code = "router";
}
