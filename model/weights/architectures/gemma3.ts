import { z } from "zod";
import { plainLayer } from "../layer-spec.ts";
import type { LayerDescription } from "../layer-spec.ts";
import { plainAngles, plainRopeFrequencies } from "../rope.ts";
import type { ModelConfig } from "../config.ts";
import type { Architecture } from "./architecture.ts";
import { ggufTensors, huggingFaceTensors } from "./common-tensors.ts";
import { decoderConfig, windowWithin } from "./dimensions.ts";
import type { ModelDimensions } from "./dimensions.ts";
import { ggufDimensions, ggufField } from "./gguf-dimensions.ts";
import { configFields, huggingFaceDimensions } from "./hugging-face-dimensions.ts";

/** Of `windowed` layers, which are all but each sixth. */
const defaultLocalTheta = 10_000;
const defaultPattern = 6;

/** Layers of the model that computes its attention by the hidden size divided among the heads (27B). */
const numLayersOf27B = 62;

const off = (what: string) =>
  z.union([z.null(), z.literal(false)], `${what} is not supported`).optional();

const ropeTheta = z.looseObject({ rope_theta: z.number().positive() });

const gemmaSchema = z.looseObject({
  hidden_activation: z
    .literal("gelu_pytorch_tanh", 'only "gelu_pytorch_tanh" is supported')
    .default("gelu_pytorch_tanh"),
  query_pre_attn_scalar: z.number().positive().default(256),
  rope_local_base_freq: z.number().positive().optional(),
  rope_parameters: z.looseObject({ sliding_attention: ropeTheta.optional() }).nullish(),
  sliding_window_pattern: z.int().positive().nullish(),
  layer_types: z.array(z.string()).nullish(),
  attention_bias: z.literal(false, "biases are not supported").nullish(),
  attn_logit_softcapping: off("capping of the attention's scores"),
  final_logit_softcapping: off("capping of the logits"),
  use_bidirectional_attention: off("attention to later positions"),
});

/** The text models of Gemma 3. */
export const gemma3: Architecture = {
  huggingFaceClasses: ["Gemma3ForCausalLM"],
  huggingFaceModelTypes: ["gemma3_text"],
  gguf: {
    config: (checkpoint, options) => {
      const dimensions = ggufDimensions(checkpoint, "gemma3", options);
      const { numLayers, hiddenSize, numHeads, headDim } = dimensions;
      const localTheta = ggufField(checkpoint, "gemma3.rope.freq_base_swa", defaultLocalTheta);
      const divisor = numLayers === numLayersOf27B ? hiddenSize / numHeads : headDim;
      return gemmaConfig(dimensions, {
        localTheta,
        scoreScale: 1 / Math.sqrt(divisor),
        isWindowed: (layer) => (layer + 1) % defaultPattern !== 0,
      });
    },
    // The converter has added 1 to the norms.
    tensors: ggufTensors,
  },
  huggingFace: {
    config: (checkpoint, options) => {
      const fields = configFields(checkpoint, gemmaSchema);
      const pattern = fields.sliding_window_pattern ?? defaultPattern;
      const types = fields.layer_types;
      const localTheta =
        fields.rope_parameters?.sliding_attention?.rope_theta ??
        fields.rope_local_base_freq ??
        defaultLocalTheta;
      return gemmaConfig(huggingFaceDimensions(checkpoint, options, { tiedEmbeddings: true }), {
        localTheta,
        scoreScale: 1 / Math.sqrt(fields.query_pre_attn_scalar),
        isWindowed: (layer) =>
          types ? types[layer] === "sliding_attention" : (layer + 1) % pattern !== 0,
      });
    },
    tensors: {
      ...huggingFaceTensors,
      layer: {
        ...huggingFaceTensors.layer,
        mlpNorm: "model.layers.{layer}.pre_feedforward_layernorm.weight",
      },
      normOffset: 1,
    },
  },
};

interface GemmaFields {
  /** Of the rotary embedding of windowed layers. */
  readonly localTheta: number;
  readonly scoreScale: number;
  readonly isWindowed: (layer: number) => boolean;
}

function gemmaConfig(
  dimensions: ModelDimensions,
  { localTheta, scoreScale, isWindowed }: GemmaFields,
): ModelConfig {
  const { headDim, rotarySize, hiddenSize, rotary } = dimensions;
  const plain = plainLayer({ headDim, rotarySize, isInterleaved: false });
  const layer: LayerDescription = {
    ...plain,
    norms: ["attentionNorm", "queryNorm", "keyNorm", "attentionPostNorm", "mlpNorm", "mlpPostNorm"],
    activation: "gelu-tanh",
    scoreScale,
  };
  const windowed = {
    ...layer,
    rotary: { ...plain.rotary, table: 1 },
    window: windowWithin(dimensions),
  };
  const local = plainAngles(plainRopeFrequencies(rotarySize, localTheta));
  return decoderConfig("gemma3", dimensions, (index) => (isWindowed(index) ? windowed : layer), {
    embeddingScale: Math.sqrt(hiddenSize),
    rotaryTables: [rotary, local],
  });
}
