import { plainLayer } from "../layer-spec.ts";
import type { LayerDescription } from "../layer-spec.ts";
import type { Architecture } from "./architecture.ts";
import { ggufTensors, huggingFaceTensors } from "./common-tensors.ts";
import { decoderConfig } from "./dimensions.ts";
import type { ModelDimensions } from "./dimensions.ts";
import { ggufBiases, ggufDimensions } from "./gguf-dimensions.ts";
import { configBiases, huggingFaceDimensions } from "./hugging-face-dimensions.ts";
import { qwenWindows } from "./qwen-windows.ts";

/** Qwen 3: Llama with norms of queries and keys. */
export const qwen3: Architecture = {
  huggingFaceClasses: ["Qwen3ForCausalLM"],
  huggingFaceModelTypes: ["qwen3"],
  gguf: {
    config: (checkpoint, options) => {
      const dimensions = ggufDimensions(checkpoint, "qwen3", options);
      const layer = { ...layerOf(dimensions), biases: ggufBiases(checkpoint) };
      return decoderConfig("qwen3", dimensions, () => layer);
    },
    tensors: ggufTensors,
  },
  huggingFace: {
    config: (checkpoint, options) => {
      const dimensions = huggingFaceDimensions(checkpoint, options);
      const biases = configBiases(checkpoint);
      const windows = qwenWindows(checkpoint, dimensions);
      return decoderConfig("qwen3", dimensions, (layer) => ({
        ...layerOf(dimensions),
        biases,
        window: windows(layer),
      }));
    },
    tensors: huggingFaceTensors,
  },
};

function layerOf({ headDim, rotarySize }: ModelDimensions): LayerDescription {
  return {
    ...plainLayer({ headDim, rotarySize, isInterleaved: false }),
    norms: ["attentionNorm", "queryNorm", "keyNorm", "mlpNorm"],
  };
}
