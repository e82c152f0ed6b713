import type { LayerDescription, ProjectionRole } from "../layer-spec.ts";
import { plainLayer } from "../layer-spec.ts";
import type { Architecture } from "./architecture.ts";
import { ggufTensors, huggingFaceTensors } from "./common-tensors.ts";
import { decoderConfig, windowWithin } from "./dimensions.ts";
import type { ModelDimensions } from "./dimensions.ts";
import { ggufBiases, ggufDimensions } from "./gguf-dimensions.ts";
import { configBiases, huggingFaceDimensions } from "./hugging-face-dimensions.ts";

/** Llama 1 to 3, and what shares their computation: SmolLM, TinyLlama, Mistral. */
export const llama: Architecture = {
  huggingFaceClasses: ["LlamaForCausalLM", "MistralForCausalLM"],
  huggingFaceModelTypes: ["llama", "mistral"],
  gguf: {
    config: (checkpoint, options) => {
      const dimensions = ggufDimensions(checkpoint, "llama", options);
      // The converter permutes the rows of query and key so that rotary pairs are neighbours.
      const layer = layerOf(dimensions, ggufBiases(checkpoint), { isInterleaved: true });
      return decoderConfig("llama", dimensions, () => layer);
    },
    tensors: ggufTensors,
  },
  huggingFace: {
    config: (checkpoint, options) => {
      const dimensions = huggingFaceDimensions(checkpoint, options);
      const layer = layerOf(dimensions, configBiases(checkpoint), { isInterleaved: false });
      return decoderConfig("llama", dimensions, () => layer);
    },
    tensors: huggingFaceTensors,
  },
};

function layerOf(
  dimensions: ModelDimensions,
  biases: readonly ProjectionRole[],
  { isInterleaved }: { readonly isInterleaved: boolean },
): LayerDescription {
  const { headDim, rotarySize } = dimensions;
  const layer = plainLayer({ headDim, rotarySize, isInterleaved });
  return { ...layer, biases, window: windowWithin(dimensions) };
}
