import { SeapError } from "../../model/errors.ts";

/** A schema or a pattern that cannot be enforced. */
export class GrammarTextError extends SeapError {
  readonly code = "grammar_text";
  /** Where in the schema, as `.properties.name`; empty for all of it. */
  readonly path: string;
  /** It means nothing, so that there is nothing to leave out. */
  readonly isMistake: boolean;

  constructor(message: string, path = "", isMistake = false) {
    super(message);
    this.path = path;
    this.isMistake = isMistake;
  }
}
