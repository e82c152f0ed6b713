import { SeapError } from "../../model/errors.ts";

/** A flag, environment variable or configuration file is wrong. */
export class ConfigError extends SeapError {
  readonly code = "config";
}
