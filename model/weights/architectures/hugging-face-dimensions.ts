import { z } from "zod";
import { ModelLoadError } from "../../errors.ts";
import { describeIssues } from "../../files/json-file.ts";
import type { SafetensorsCheckpoint } from "../../files/safetensors.ts";
import type { ProjectionRole } from "../layer-spec.ts";
import type { ReadOptions } from "./architecture.ts";
import { checkedHeadDim, checkedRotarySize } from "./attention-shape.ts";
import type { ModelDimensions } from "./dimensions.ts";
import { huggingFaceAngles, huggingFaceRopeFields, ropeFields } from "./hugging-face-rope.ts";

const size = z.int().positive();

const commonSchema = z.looseObject({
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
  quantization_config: z.null("quantised checkpoints are not supported").optional(),
});

/** Fields of models whose MLP has SiLU and whose projections may have biases. */
export const siluFields = {
  hidden_act: z.literal("silu", 'only "silu" is supported').default("silu"),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
};

const siluSchema = z.looseObject(siluFields);

/** @throws ModelLoadError when the file does not have these fields */
export function configFields<T extends z.ZodType>(
  { path, config }: SafetensorsCheckpoint,
  schema: T,
): z.infer<T> {
  const parsed = schema.safeParse(config);
  if (parsed.success) return parsed.data;
  throw new ModelLoadError(path, `config.json: ${describeIssues(parsed.error)}`);
}

/**
 * The projections that have a bias.
 * @throws ModelLoadError when the activation is another than SiLU
 */
export function configBiases(checkpoint: SafetensorsCheckpoint): ProjectionRole[] {
  const { attention_bias: ofAttention, mlp_bias: ofMlp } = configFields(checkpoint, siluSchema);
  return [
    ...(ofAttention ? (["query", "key", "value", "output"] as const) : []),
    ...(ofMlp ? (["gate", "up", "down"] as const) : []),
  ];
}

/**
 * What a `config.json` says of a model.
 * @param defaults of what files of the architecture may leave out
 * @throws ModelLoadError when it is incomplete or asks for what is not supported.
 */
export function huggingFaceDimensions(
  checkpoint: SafetensorsCheckpoint,
  options: ReadOptions,
  defaults: { readonly tiedEmbeddings: boolean } = { tiedEmbeddings: false },
): ModelDimensions {
  const { path } = checkpoint;
  const config = configFields(checkpoint, commonSchema);
  const hiddenSize = config.hidden_size;
  const numHeads = config.num_attention_heads;
  const numKvHeads = config.num_key_value_heads ?? numHeads;
  const headDim = checkedHeadDim(path, {
    hiddenSize,
    numHeads,
    numKvHeads,
    headDim: config.head_dim,
  });
  const rope = ropeFields(config);
  const rotarySize = checkedRotarySize(
    path,
    headDim,
    Math.floor(headDim * (rope.partial_rotary_factor ?? 1)),
  );
  const trainedLength = config.max_position_embeddings;
  const contextLength = options.contextLength ?? trainedLength;
  return {
    numLayers: config.num_hidden_layers,
    ...{ hiddenSize, numHeads, numKvHeads, headDim, rotarySize },
    intermediateSize: config.intermediate_size,
    vocabSize: config.vocab_size,
    contextLength: trainedLength,
    rmsNormEps: config.rms_norm_eps,
    slidingWindow: config.sliding_window || null,
    rotary: huggingFaceAngles(path, rope, { rotarySize, trainedLength, contextLength }),
    tiedEmbeddings: config.tie_word_embeddings ?? defaults.tiedEmbeddings,
  };
}
