import { SeapError } from "../model/errors.ts";
import { RuntimeError } from "../runtime/errors.ts";

/** A calibration corpus has a line that cannot be used, or too little text. */
export class CorpusError extends SeapError {
  readonly code = "corpus";
}

/** A calibration run failed, or profiles do not belong together. */
export class CalibrationError extends SeapError {
  readonly code = "calibration";
}

/** For `catch`: throws what ONNX Runtime refused as a failure of the run, and anything else as it is. */
export function throwAsCalibrationError(error: unknown): never {
  if (!(error instanceof RuntimeError)) throw error;
  throw new CalibrationError(error.message, { cause: error });
}
