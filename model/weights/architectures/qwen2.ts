import { plainLayer } from "../layer-spec.ts";
import type { LayerDescription } from "../layer-spec.ts";
import type { Architecture } from "./architecture.ts";
import { ggufTensors, huggingFaceTensors } from "./common-tensors.ts";
import { decoderConfig } from "./dimensions.ts";
import type { ModelDimensions } from "./dimensions.ts";
import { ggufBiases, ggufDimensions } from "./gguf-dimensions.ts";
import { configBiases, huggingFaceDimensions } from "./hugging-face-dimensions.ts";
import { qwenWindows } from "./qwen-windows.ts";

/** Qwen 1.5 to 2.5: Llama with biases of queries, keys and values. */
export const qwen2: Architecture = {
  huggingFaceClasses: ["Qwen2ForCausalLM"],
  huggingFaceModelTypes: ["qwen2"],
  gguf: {
    config: (checkpoint, options) => {
      const dimensions = ggufDimensions(checkpoint, "qwen2", options);
      const layer = { ...layerOf(dimensions), biases: ggufBiases(checkpoint) };
      return decoderConfig("qwen2", dimensions, () => layer);
    },
    tensors: ggufTensors,
  },
  huggingFace: {
    config: (checkpoint, options) => {
      const dimensions = huggingFaceDimensions(checkpoint, options);
      const ofMlp = configBiases(checkpoint).filter((role) => /gate|up|down/.test(role));
      const biases = ["query", "key", "value", ...ofMlp] as const;
      const windows = qwenWindows(checkpoint, dimensions);
      return decoderConfig("qwen2", dimensions, (layer) => ({
        ...layerOf(dimensions),
        biases,
        window: windows(layer),
      }));
    },
    tensors: huggingFaceTensors,
  },
};

function layerOf({ headDim, rotarySize }: ModelDimensions): LayerDescription {
  return plainLayer({ headDim, rotarySize, isInterleaved: false });
}
