import type { LayerSpec } from "../weights/layer-spec.ts";
import type { StageWeights } from "./stage-tensor.ts";

/**
 * What a contiguous part of the model computes, as data that JSON can hold. With its weights it is all that a device
 * makes a stage of, in graphs of its own. Weights are named as follows; `i` is the layer's place in the model:
 *
 * | weight | shape | |
 * |---|---|---|
 * | `embedding` | `[vocabSize, hiddenSize]` | of a stage with the embedding |
 * | `layers.i.<norm>` | `[hiddenSize]`, of heads `[headDim]` | each of the layer's `norms` whose module is there |
 * | `layers.i.qkv` | `[(numHeads + 2 numKvHeads) headDim, hiddenSize]` | queries, or their norm, carry the layer's `scoreScale` |
 * | `layers.i.output` | `[hiddenSize, numHeads headDim]` | |
 * | `layers.i.gate_up` | `[2 intermediateSize, hiddenSize]` | |
 * | `layers.i.down` | `[hiddenSize, intermediateSize]` | |
 * | `layers.i.outputBias`, `layers.i.downBias` | `[hiddenSize]` | added where attention or MLP is left out, if there |
 * | `final_norm`, `lm_head` | `[hiddenSize]`, `[vocabSize, hiddenSize]` | of a stage with the head |
 *
 * A matrix has a bias `<name>.bias` where there is one of this name.
 */
export interface StageSpec {
  readonly name: string;
  /** Place in the model of the first of `layers`. */
  readonly firstLayer: number;
  readonly layers: readonly LayerSpec[];
  readonly headDim: number;
  readonly hiddenSize: number;
  readonly vocabSize: number;
  readonly rmsNormEps: number;
  /** Of a stage with the embedding: multiplies its rows. */
  readonly embeddingScale: number;
  /** Of a stage with the head: multiplies the logits. */
  readonly logitScale: number;
  /** Takes token ids instead of hidden states. */
  readonly hasEmbedding: boolean;
  /** Gives logits of selected rows besides hidden states. */
  readonly hasHead: boolean;
  /** Comes after another stage of the same run of layers, and rounds as if both were one. */
  readonly isContinued: boolean;
}

/** A stage that a device can load. */
export interface StageModel {
  readonly spec: StageSpec;
  readonly weights: StageWeights;
}
