import { SeapError } from "../model/errors.ts";

/** A calibration corpus has a line that cannot be used, or too little text. */
export class CorpusError extends SeapError {
  readonly code = "corpus";
}

/** A calibration run failed, or profiles do not belong together. */
export class CalibrationError extends SeapError {
  readonly code = "calibration";
}
