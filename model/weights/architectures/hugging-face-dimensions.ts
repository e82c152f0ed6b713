import { z } from "zod";
import { ModelLoadError } from "../../errors.ts";
import { describeIssues } from "../../files/json-file.ts";
import type { SafetensorsCheckpoint } from "../../files/safetensors.ts";
import { huggingFaceRopeFields, huggingFaceRopeFrequencies } from "../rope.ts";
import { checkedHeadDim } from "./attention-shape.ts";
import type { ModelDimensions } from "./dimensions.ts";

const size = z.int().positive();

const commonFields = {
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
  partial_rotary_factor: z.literal(1, "partial rotary embedding is not supported").nullish(),
  quantization_config: z.null("quantised checkpoints are not supported").optional(),
};

/** Fields that must have the values of a plain model. */
export const plainFields = {
  hidden_act: z.literal("silu", 'only "silu" is supported').default("silu"),
  attention_bias: z.literal(false, "biases are not supported").nullish(),
  mlp_bias: z.literal(false, "biases are not supported").nullish(),
};

/**
 * What a `config.json` says of a model that turns whole heads by their position.
 * @param fields that it is checked for besides
 * @throws ModelLoadError when it is incomplete or asks for what is not supported.
 */
export function huggingFaceDimensions(
  checkpoint: SafetensorsCheckpoint,
  fields: z.ZodRawShape,
): ModelDimensions {
  const { path } = checkpoint;
  const parsed = z.looseObject({ ...fields, ...commonFields }).safeParse(checkpoint.config);
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
  return {
    numLayers: config.num_hidden_layers,
    ...{ hiddenSize, numHeads, numKvHeads, headDim },
    intermediateSize: config.intermediate_size,
    vocabSize: config.vocab_size,
    contextLength: config.max_position_embeddings,
    rmsNormEps: config.rms_norm_eps,
    slidingWindow: config.sliding_window || null,
    rotaryFrequencies: huggingFaceRopeFrequencies(path, config, headDim),
    tiedEmbeddings: config.tie_word_embeddings ?? false,
  };
}
