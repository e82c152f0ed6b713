import { z } from "zod";
import type { SafetensorsCheckpoint } from "../../files/safetensors.ts";
import { plainLayer } from "../layer-spec.ts";
import type { LayerDescription, ProjectionRole } from "../layer-spec.ts";
import type { Architecture } from "./architecture.ts";
import { ggufTensors, huggingFaceTensors } from "./common-tensors.ts";
import { decoderConfig, windowWithin } from "./dimensions.ts";
import type { ModelDimensions } from "./dimensions.ts";
import { ggufBiases, ggufDimensions } from "./gguf-dimensions.ts";
import { configBiases, configFields, huggingFaceDimensions } from "./hugging-face-dimensions.ts";

/** Qwen 1.5 to 2.5: Llama with biases of queries, keys and values. */
export const qwen2 = qwen("qwen2", {
  huggingFaceClass: "Qwen2ForCausalLM",
  differences: {},
  configBiases: ["query", "key", "value"],
});

/** Qwen 3: Llama with norms of queries and keys. */
export const qwen3 = qwen("qwen3", {
  huggingFaceClass: "Qwen3ForCausalLM",
  differences: { norms: ["attentionNorm", "queryNorm", "keyNorm", "mlpNorm"] },
  configBiases: [],
});

interface QwenRelease {
  readonly huggingFaceClass: string;
  /** From a layer of Llama. */
  readonly differences: Partial<LayerDescription>;
  /** Projections that have a bias without a word of it in a `config.json`. */
  readonly configBiases: readonly ProjectionRole[];
}

/** @param name in both kinds of files */
function qwen(name: string, release: QwenRelease): Architecture {
  const layerOf = ({ headDim, rotarySize }: ModelDimensions): LayerDescription => ({
    ...plainLayer({ headDim, rotarySize, isInterleaved: false }),
    ...release.differences,
  });
  return {
    huggingFaceClasses: [release.huggingFaceClass],
    huggingFaceModelTypes: [name],
    gguf: {
      config: (checkpoint, options) => {
        const dimensions = ggufDimensions(checkpoint, name, options);
        const layer = { ...layerOf(dimensions), biases: ggufBiases(checkpoint) };
        return decoderConfig(name, dimensions, () => layer);
      },
      tensors: ggufTensors,
    },
    huggingFace: {
      config: (checkpoint, options) => {
        const dimensions = huggingFaceDimensions(checkpoint, options);
        const biases = [...new Set([...release.configBiases, ...configBiases(checkpoint)])];
        const windows = configWindows(checkpoint, dimensions);
        return decoderConfig(name, dimensions, (layer) => ({
          ...layerOf(dimensions),
          biases,
          window: windows(layer),
        }));
      },
      tensors: huggingFaceTensors,
    },
  };
}

const windowSchema = z.looseObject({
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.int().nonnegative().nullish(),
  layer_types: z.array(z.string()).nullish(),
});

/** The windows of Qwen's layers by a `config.json`: only where they are switched on, and of the later layers. */
function configWindows(
  checkpoint: SafetensorsCheckpoint,
  dimensions: ModelDimensions,
): (layer: number) => number | null {
  const fields = configFields(checkpoint, windowSchema);
  if (!fields.use_sliding_window) return () => null;
  const window = windowWithin(dimensions);
  const first = fields.max_window_layers ?? 0;
  return (layer) => {
    const type = fields.layer_types?.[layer];
    const isWindowed = type === undefined ? layer >= first : type === "sliding_attention";
    return isWindowed ? window : null;
  };
}
