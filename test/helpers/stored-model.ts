import { llama } from "../../model/weights/architectures/llama.ts";
import type { TensorNames } from "../../model/weights/architectures/architecture.ts";
import { layerTensorShapes, modelTensorShapes } from "../../model/weights/architectures.ts";
import type { LayerTensorRole, ModelTensorRole, ModelWeights } from "../../model/weights/config.ts";
import type { WritableMetadata, WritableTensor } from "./gguf-writer.ts";
import type { WritableSafetensor } from "./safetensors-writer.ts";

interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

function* namedTensors(weights: ModelWeights, names: TensorNames): Generator<NamedTensor> {
  for (const [key, shape] of Object.entries(modelTensorShapes(weights.config))) {
    const role = key as ModelTensorRole;
    yield { name: names.model[role], shape, data: weights.readTensor(role) };
  }
  const layerShapes = Object.entries(layerTensorShapes(weights.config));
  for (let layer = 0; layer < weights.config.numLayers; layer++) {
    for (const [key, shape] of layerShapes) {
      const role = key as LayerTensorRole;
      yield { name: names.layer(layer)[role], shape, data: weights.readLayerTensor(layer, role) };
    }
  }
}

/** A model's tensors under their names in GGUF files. */
export function ggufTensors(
  weights: ModelWeights,
  type: WritableTensor["type"] = "F32",
): WritableTensor[] {
  return [...namedTensors(weights, llama.ggufTensors)].map((tensor) => ({ ...tensor, type }));
}

/** Metadata of a llama model with plain rotary embedding of base 10,000 and a stub vocabulary. */
export function ggufMetadata({ config }: ModelWeights): WritableMetadata {
  return {
    "general.architecture": "llama",
    "llama.block_count": config.numLayers,
    "llama.context_length": config.contextLength,
    "llama.embedding_length": config.hiddenSize,
    "llama.feed_forward_length": config.intermediateSize,
    "llama.attention.head_count": config.numHeads,
    "llama.attention.head_count_kv": config.numKvHeads,
    "llama.attention.key_length": config.headDim,
    "llama.attention.value_length": config.headDim,
    "llama.attention.layer_norm_rms_epsilon": config.rmsNormEps,
    "tokenizer.ggml.tokens": Array.from({ length: config.vocabSize }, (_, i) => `token ${i}`),
  };
}

/** A model's tensors under their names in folders of Hugging Face transformers. */
export function huggingFaceTensors(
  weights: ModelWeights,
  dtype: WritableSafetensor["dtype"] = "F32",
): WritableSafetensor[] {
  return [...namedTensors(weights, llama.huggingFaceTensors)].map((tensor) => ({
    ...tensor,
    dtype,
  }));
}

/** `config.json` of a llama model with plain rotary embedding of base 10,000. */
export function huggingFaceConfig({ config }: ModelWeights): Record<string, unknown> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads,
    head_dim: config.headDim,
    vocab_size: config.vocabSize,
    max_position_embeddings: config.contextLength,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: 10_000,
    tie_word_embeddings: config.tiedEmbeddings,
    attention_bias: false,
  };
}
