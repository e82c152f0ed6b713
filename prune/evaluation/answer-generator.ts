import type { StageModel } from "../../model/stage-graph.ts";
import type { Generate } from "./math-answers.ts";

/** Writes answers with a middle of choice. */
export interface AnswerGenerator {
  /** Loads a middle. The caller closes it before it opens another. */
  open(middle: StageModel): Promise<OpenGenerator>;
}

export interface OpenGenerator {
  readonly generate: Generate;
  close(): Promise<void>;
}
