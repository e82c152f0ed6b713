import { z } from "zod";
import type { ModelConfig } from "../config.ts";
import { plainLayer } from "../layer-spec.ts";
import { ModelLoadError } from "../../errors.ts";
import type { GgufCheckpoint } from "../../files/gguf.ts";
import { describeIssues } from "../../files/json-file.ts";
import { ggufRopeFrequencies, huggingFaceRopeFields, huggingFaceRopeFrequencies } from "../rope.ts";
import type { SafetensorsCheckpoint } from "../../files/safetensors.ts";
import type { Architecture } from "./architecture.ts";
import { checkedHeadDim } from "./attention-shape.ts";

/** Llama 1 to 3, and what shares their computation: SmolLM, TinyLlama, Mistral. */
export const llama: Architecture = {
  huggingFaceClasses: ["LlamaForCausalLM", "MistralForCausalLM"],
  huggingFaceModelTypes: ["llama", "mistral"],
  configFromGguf,
  configFromHuggingFace,
  ggufTensors: {
    model: {
      embedding: "token_embd.weight",
      finalNorm: "output_norm.weight",
      lmHead: "output.weight",
    },
    layer: (layer) => ({
      attentionNorm: `blk.${layer}.attn_norm.weight`,
      query: `blk.${layer}.attn_q.weight`,
      key: `blk.${layer}.attn_k.weight`,
      value: `blk.${layer}.attn_v.weight`,
      output: `blk.${layer}.attn_output.weight`,
      mlpNorm: `blk.${layer}.ffn_norm.weight`,
      gate: `blk.${layer}.ffn_gate.weight`,
      up: `blk.${layer}.ffn_up.weight`,
      down: `blk.${layer}.ffn_down.weight`,
    }),
    ignored: /^rope_freqs\.weight$|\.attn_rot_embd\.weight$/,
  },
  huggingFaceTensors: {
    model: {
      embedding: "model.embed_tokens.weight",
      finalNorm: "model.norm.weight",
      lmHead: "lm_head.weight",
    },
    layer: (layer) => ({
      attentionNorm: `model.layers.${layer}.input_layernorm.weight`,
      query: `model.layers.${layer}.self_attn.q_proj.weight`,
      key: `model.layers.${layer}.self_attn.k_proj.weight`,
      value: `model.layers.${layer}.self_attn.v_proj.weight`,
      output: `model.layers.${layer}.self_attn.o_proj.weight`,
      mlpNorm: `model.layers.${layer}.post_attention_layernorm.weight`,
      gate: `model.layers.${layer}.mlp.gate_proj.weight`,
      up: `model.layers.${layer}.mlp.up_proj.weight`,
      down: `model.layers.${layer}.mlp.down_proj.weight`,
    }),
    ignored: /\.rotary_emb\.inv_freq$/,
  },
};

const size = z.int().positive();

/** Counts in GGUF files are 32-bit as a rule, but some writers use 64 bits. */
const fromBigInt = (value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value);
const ggufSize = z.preprocess(fromBigInt, size);
const ggufSizeOrNone = z.preprocess(fromBigInt, z.int().nonnegative());

const metadataSchema = z.looseObject({
  "llama.block_count": ggufSize,
  "llama.context_length": ggufSize,
  "llama.embedding_length": ggufSize,
  "llama.feed_forward_length": ggufSize,
  "llama.attention.head_count": ggufSize,
  "llama.attention.head_count_kv": ggufSize.optional(),
  "llama.attention.key_length": ggufSize.optional(),
  "llama.attention.value_length": ggufSize.optional(),
  "llama.attention.layer_norm_rms_epsilon": z.number().positive(),
  "llama.attention.sliding_window": ggufSizeOrNone.optional(),
  "llama.expert_count": ggufSizeOrNone.optional(),
  "llama.rope.dimension_count": ggufSize.optional(),
  "llama.vocab_size": ggufSize.optional(),
  "tokenizer.ggml.tokens": z.array(z.string()).optional(),
});

function configFromGguf(checkpoint: GgufCheckpoint): ModelConfig {
  const { path } = checkpoint;
  const parsed = metadataSchema.safeParse(checkpoint.metadata);
  if (!parsed.success) {
    throw new ModelLoadError(path, `metadata: ${describeIssues(parsed.error)}`);
  }
  const metadata = parsed.data;
  if (metadata["llama.expert_count"]) {
    throw new ModelLoadError(path, "is a mixture of experts, which is not supported");
  }
  const hiddenSize = metadata["llama.embedding_length"];
  const numHeads = metadata["llama.attention.head_count"];
  const numKvHeads = metadata["llama.attention.head_count_kv"] ?? numHeads;
  const headDim = checkedHeadDim(path, {
    hiddenSize,
    numHeads,
    numKvHeads,
    headDim: metadata["llama.attention.key_length"],
  });
  for (const key of ["llama.attention.value_length", "llama.rope.dimension_count"] as const) {
    const value = metadata[key] ?? headDim;
    if (value !== headDim) {
      throw new ModelLoadError(path, `${key} is ${value}, expected the head size ${headDim}`);
    }
  }
  const vocabSize = metadata["tokenizer.ggml.tokens"]?.length ?? metadata["llama.vocab_size"];
  if (!vocabSize) {
    throw new ModelLoadError(path, "metadata: expected tokenizer.ggml.tokens or llama.vocab_size");
  }
  const numLayers = metadata["llama.block_count"];
  const layer = plainLayer({ headDim, isInterleaved: true });
  const ropeInverseFrequencies = ggufRopeFrequencies(checkpoint, "llama", headDim);
  return {
    architecture: "llama",
    numLayers,
    layers: Array.from({ length: numLayers }, () => layer),
    hiddenSize,
    numHeads,
    numKvHeads,
    headDim,
    intermediateSize: metadata["llama.feed_forward_length"],
    vocabSize,
    contextLength: clampToWindow(
      metadata["llama.context_length"],
      metadata["llama.attention.sliding_window"],
    ),
    rmsNormEps: metadata["llama.attention.layer_norm_rms_epsilon"],
    embeddingScale: 1,
    logitScale: 1,
    rotaryTables: [ropeInverseFrequencies],
    ropeInverseFrequencies,
    // The converter permutes the rows of query and key so that rotary pairs are neighbours.
    ropeInterleaved: true,
    tiedEmbeddings: checkpoint.tensorShape(llama.ggufTensors.model.lmHead) === undefined,
  };
}

const configSchema = z.looseObject({
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  vocab_size: size,
  max_position_embeddings: size,
  rms_norm_eps: z.number().positive(),
  ...huggingFaceRopeFields,
  tie_word_embeddings: z.boolean().nullish(),
  sliding_window: z.int().nonnegative().nullish(),
  hidden_act: z.literal("silu", 'only "silu" is supported').default("silu"),
  attention_bias: z.literal(false, "biases are not supported").nullish(),
  mlp_bias: z.literal(false, "biases are not supported").nullish(),
  partial_rotary_factor: z.literal(1, "partial rotary embedding is not supported").nullish(),
  quantization_config: z.null("quantised checkpoints are not supported").optional(),
});

function configFromHuggingFace(checkpoint: SafetensorsCheckpoint): ModelConfig {
  const { path } = checkpoint;
  const parsed = configSchema.safeParse(checkpoint.config);
  if (!parsed.success) {
    throw new ModelLoadError(path, `config.json: ${describeIssues(parsed.error)}`);
  }
  const config = parsed.data;
  const hiddenSize = config.hidden_size;
  const numHeads = config.num_attention_heads;
  const numKvHeads = config.num_key_value_heads ?? numHeads;
  const headDim = checkedHeadDim(path, {
    hiddenSize,
    numHeads,
    numKvHeads,
    headDim: config.head_dim,
  });
  const numLayers = config.num_hidden_layers;
  const layer = plainLayer({ headDim, isInterleaved: false });
  const ropeInverseFrequencies = huggingFaceRopeFrequencies(path, config, headDim);
  return {
    architecture: "llama",
    numLayers,
    layers: Array.from({ length: numLayers }, () => layer),
    hiddenSize,
    numHeads,
    numKvHeads,
    headDim,
    intermediateSize: config.intermediate_size,
    vocabSize: config.vocab_size,
    contextLength: clampToWindow(config.max_position_embeddings, config.sliding_window),
    rmsNormEps: config.rms_norm_eps,
    embeddingScale: 1,
    logitScale: 1,
    rotaryTables: [ropeInverseFrequencies],
    ropeInverseFrequencies,
    ropeInterleaved: false,
    tiedEmbeddings: config.tie_word_embeddings ?? false,
  };
}

/**
 * Attention here sees all positions. Up to the window's length that is the same as the sliding window
 * of early Mistral models; beyond it the results would differ, so the context ends there.
 */
function clampToWindow(contextLength: number, slidingWindow: number | null | undefined): number {
  return slidingWindow ? Math.min(contextLength, slidingWindow) : contextLength;
}
