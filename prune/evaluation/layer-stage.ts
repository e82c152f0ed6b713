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

/** A middle of one or more stages, each of which gives the next its hidden states. */
export class MiddleChain {
  readonly #stages: readonly LayerStage[];
  readonly #hiddenSize: number;

  private constructor(stages: readonly LayerStage[], hiddenSize: number) {
    this.#stages = stages;
    this.#hiddenSize = hiddenSize;
  }

  /** @throws CalibrationError when ONNX Runtime refuses a stage; nothing is kept then. */
  static async load(segments: readonly StageModel[], numThreads: number): Promise<MiddleChain> {
    const stages: LayerStage[] = [];
    try {
      for (const segment of segments) stages.push(await LayerStage.load(segment, numThreads));
    } catch (error) {
      for (const stage of stages) await stage.release();
      throw error;
    }
    return new MiddleChain(stages, segments[0]!.hiddenSize);
  }

  /**
   * @param hidden shape `[1, length, hiddenSize]`, and so is what is returned
   * @param attention as for {@link LayerStage.run}
   * @throws CalibrationError when a pass fails.
   */
  async run(hidden: Float32Array, attention: Feeds): Promise<Float32Array> {
    let between = hidden;
    const dims = [1, hidden.length / this.#hiddenSize, this.#hiddenSize];
    for (const stage of this.#stages) {
      const input = new ort.Tensor("float32", between, dims);
      between = await stage.run({ hidden: input }, attention);
    }
    return between;
  }

  async release(): Promise<void> {
    for (const stage of this.#stages) await stage.release();
  }
}
