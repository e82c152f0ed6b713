import { plainLayer } from "../layer-spec.ts";
import type { Architecture } from "./architecture.ts";
import { ggufTensors, huggingFaceTensors } from "./common-tensors.ts";
import { uniformConfig } from "./dimensions.ts";
import { ggufDimensions } from "./gguf-dimensions.ts";
import { huggingFaceDimensions, plainFields } from "./hugging-face-dimensions.ts";

/** Llama 1 to 3, and what shares their computation: SmolLM, TinyLlama, Mistral. */
export const llama: Architecture = {
  huggingFaceClasses: ["LlamaForCausalLM", "MistralForCausalLM"],
  huggingFaceModelTypes: ["llama", "mistral"],
  gguf: {
    config: (checkpoint) => {
      const dimensions = ggufDimensions(checkpoint, "llama");
      const { headDim } = dimensions;
      // The converter permutes the rows of query and key so that rotary pairs are neighbours.
      return uniformConfig("llama", dimensions, plainLayer({ headDim, isInterleaved: true }));
    },
    tensors: ggufTensors,
  },
  huggingFace: {
    config: (checkpoint) => {
      const dimensions = huggingFaceDimensions(checkpoint, plainFields);
      const { headDim } = dimensions;
      return uniformConfig("llama", dimensions, plainLayer({ headDim, isInterleaved: false }));
    },
    tensors: huggingFaceTensors,
  },
};
