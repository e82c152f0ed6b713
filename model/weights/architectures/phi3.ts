import type { LayerDescription } from "../layer-spec.ts";
import { plainLayer } from "../layer-spec.ts";
import type { TensorNames } from "../tensor-names.ts";
import type { Architecture } from "./architecture.ts";
import { ggufTensors, huggingFaceTensors } from "./common-tensors.ts";
import { decoderConfig, windowWithin } from "./dimensions.ts";
import type { ModelDimensions } from "./dimensions.ts";
import { ggufDimensions } from "./gguf-dimensions.ts";
import { configBiases, huggingFaceDimensions } from "./hugging-face-dimensions.ts";

/** Phi 3 to 4: Llama with packed projections, of some models with LongRoPE and heads that are turned in part. */
export const phi3: Architecture = {
  huggingFaceClasses: ["Phi3ForCausalLM"],
  huggingFaceModelTypes: ["phi3"],
  gguf: {
    config: (checkpoint, options) => {
      const dimensions = ggufDimensions(checkpoint, "phi3", options);
      return decoderConfig("phi3", dimensions, () => layerOf(dimensions));
    },
    tensors: packed(ggufTensors, {
      attention: "blk.{layer}.attn_qkv.weight",
      mlp: "blk.{layer}.ffn_up.weight",
    }),
  },
  huggingFace: {
    config: (checkpoint, options) => {
      const dimensions = huggingFaceDimensions(checkpoint, options);
      const layer = { ...layerOf(dimensions), biases: configBiases(checkpoint) };
      return decoderConfig("phi3", dimensions, () => layer);
    },
    tensors: packed(huggingFaceTensors, {
      attention: "model.layers.{layer}.self_attn.qkv_proj.weight",
      mlp: "model.layers.{layer}.mlp.gate_up_proj.weight",
    }),
  },
};

function layerOf(dimensions: ModelDimensions): LayerDescription {
  const { headDim, rotarySize } = dimensions;
  const layer = plainLayer({ headDim, rotarySize, isInterleaved: false });
  return { ...layer, window: windowWithin(dimensions) };
}

function packed(
  names: TensorNames,
  { attention, mlp }: { readonly attention: string; readonly mlp: string },
): TensorNames {
  const layer = { ...names.layer, query: attention, key: attention, value: attention };
  return { ...names, layer: { ...layer, gate: mlp, up: mlp } };
}
