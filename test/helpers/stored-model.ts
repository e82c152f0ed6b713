import { llama } from "../../model/weights/architectures/llama.ts";
import type {
  BiasRole,
  LayerTensorRole,
  ModelTensorRole,
  ModelWeights,
} from "../../model/weights/config.ts";
import { storedTensors } from "../../model/weights/tensor-names.ts";
import type { TensorNames } from "../../model/weights/tensor-names.ts";
import type { WritableMetadata, WritableTensor } from "./gguf-writer.ts";
import type { WritableSafetensor } from "./safetensors-writer.ts";

interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Tensors as a file has them: packed where it packs them. */
function namedTensors(weights: ModelWeights, names: TensorNames): NamedTensor[] {
  return storedTensors(weights.config, names).map(({ name, shape, layer, parts }) => {
    const values = parts.map(({ role }) => {
      if (layer === null) return weights.readTensor(role as ModelTensorRole);
      if (role.endsWith("Bias")) return weights.readLayerBias(layer, role as BiasRole)!;
      return weights.readLayerTensor(layer, role as LayerTensorRole);
    });
    // Float64 in between, so that what is added when it is read gives the same number again.
    const offset = parts[0]!.role.endsWith("Norm") ? (names.normOffset ?? 0) : 0;
    const data = Float32Array.from(
      values.flatMap((part) => [...part]),
      (value) => value - offset,
    );
    return { name, shape, data };
  });
}

/** A model's tensors under their names in GGUF files. */
export function ggufTensors(
  weights: ModelWeights,
  type: WritableTensor["type"] = "F32",
  names: TensorNames = llama.gguf.tensors,
): WritableTensor[] {
  return [...namedTensors(weights, names)].map((tensor) => ({ ...tensor, type }));
}

/** Metadata of a model with plain rotary embedding of base 10,000 and a stub vocabulary. */
export function ggufMetadata({ config }: ModelWeights): WritableMetadata {
  const name = config.architecture;
  return {
    "general.architecture": name,
    [`${name}.block_count`]: config.numLayers,
    [`${name}.context_length`]: config.contextLength,
    [`${name}.embedding_length`]: config.hiddenSize,
    [`${name}.feed_forward_length`]: config.intermediateSize,
    [`${name}.attention.head_count`]: config.numHeads,
    [`${name}.attention.head_count_kv`]: config.numKvHeads,
    [`${name}.attention.key_length`]: config.headDim,
    [`${name}.attention.value_length`]: config.headDim,
    [`${name}.attention.layer_norm_rms_epsilon`]: config.rmsNormEps,
    "tokenizer.ggml.tokens": Array.from({ length: config.vocabSize }, (_, i) => `token ${i}`),
  };
}

/** A model's tensors under their names in folders of Hugging Face transformers. */
export function huggingFaceTensors(
  weights: ModelWeights,
  dtype: WritableSafetensor["dtype"] = "F32",
  names: TensorNames = llama.huggingFace.tensors,
): WritableSafetensor[] {
  return [...namedTensors(weights, names)].map((tensor) => ({
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
