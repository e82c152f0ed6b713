import type { StageModel } from "../../model/stages/stage-spec.ts";

/** Writes answers with a middle of choice. */
export interface AnswerGenerator {
  /** Loads a middle. The caller closes it before it opens another. */
  open(segments: readonly StageModel[]): Promise<OpenGenerator>;
}

export interface OpenGenerator {
  /** The most likely answer. Many may be asked for at once. */
  generate(promptTokenIds: Uint32Array, maxTokens: number): Promise<string>;
  close(): Promise<void>;
}
