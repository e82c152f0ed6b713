import { SeapError } from "../model/errors.ts";

/** ONNX Runtime refused a graph or a pass; the message ends with its own words. */
export class RuntimeError extends SeapError {
  readonly code = "runtime";
}
