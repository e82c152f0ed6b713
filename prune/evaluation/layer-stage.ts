import * as ort from "onnxruntime-node";
import type { LayerShape, StageModel } from "../../model/stage-graph.ts";
import { StageSession } from "../stage-session.ts";
import type { Feeds } from "../stage-session.ts";

/** A stage of layers whose results are hidden states. */
export class LayerStage {
  readonly #session: StageSession;
  readonly #layers: readonly LayerShape[];
  readonly #headDim: number;

  private constructor(session: StageSession, { layers, headDim }: StageModel) {
    this.#session = session;
    this.#layers = layers;
    this.#headDim = headDim;
  }

  /** @throws CalibrationError when ONNX Runtime refuses the stage. */
  static async load(stage: StageModel, numThreads: number): Promise<LayerStage> {
    return new LayerStage(await StageSession.load(stage, numThreads), stage);
  }

  /**
   * @param attention what layers with attention need, without their pasts
   * @returns hidden states, `[1, length, hiddenSize]`
   * @throws CalibrationError when the pass fails.
   */
  async run(input: Feeds, attention: Feeds): Promise<Float32Array> {
    const feeds: Record<string, ort.Tensor> = { ...input };
    const noPast = new Float32Array(0);
    for (const [index, { numHeads, numKvHeads }] of this.#layers.entries()) {
      if (numHeads === 0) continue;
      Object.assign(feeds, attention);
      const [keyDims, valueDims] = [
        [1, numKvHeads, 1, this.#headDim, 0],
        [1, numKvHeads, 1, 0, this.#headDim],
      ];
      feeds[`past_k.${index}`] = new ort.Tensor("float32", noPast, keyDims);
      feeds[`past_v.${index}`] = new ort.Tensor("float32", noPast, valueDims);
    }
    const results = await this.#session.run(feeds, ["hidden_out"]);
    return results["hidden_out"]!;
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}
