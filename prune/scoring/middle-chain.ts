import type { StageModel } from "../../model/stages/stage-spec.ts";
import type { AttentionFeeds } from "../../runtime/attention-feeds.ts";
import { StageSession } from "../../runtime/stage-session.ts";

/** A middle of one or more stages, each of which gives the next its hidden states. */
export class MiddleChain {
  readonly #stages: readonly StageSession[];

  private constructor(stages: readonly StageSession[]) {
    this.#stages = stages;
  }

  /** @throws RuntimeError when ONNX Runtime refuses a stage; nothing is kept then. */
  static async load(segments: readonly StageModel[], numThreads: number): Promise<MiddleChain> {
    const stages: StageSession[] = [];
    try {
      for (const segment of segments) stages.push(await StageSession.load(segment, numThreads));
    } catch (error) {
      for (const stage of stages) await stage.release();
      throw error;
    }
    return new MiddleChain(stages);
  }

  /**
   * @param hidden of whole sequences, and so is what is returned
   * @throws RuntimeError when a pass fails.
   */
  async run(hidden: Float32Array, attention: AttentionFeeds): Promise<Float32Array> {
    let between = hidden;
    for (const stage of this.#stages) between = await stage.hiddenAfter(between, attention);
    return between;
  }

  async release(): Promise<void> {
    for (const stage of this.#stages) await stage.release();
  }
}
