import type { LayerDescription } from "../../model/weights/layer-spec.ts";
import { longRopeMagnitude, plainRopeFrequencies } from "../../model/weights/rope.ts";
import type { WritableMetadata, WritableTensor } from "./gguf-writer.ts";
import type { TinyModelOptions } from "./tiny-model.ts";

/** A small model of one family, and what its files say beyond what those of all families do. */
export interface TinyFamily {
  readonly model: TinyModelOptions;
  readonly gguf: {
    readonly metadata: WritableMetadata;
    /** Besides the weights. */
    readonly tensors?: readonly WritableTensor[];
  };
  readonly huggingFace: Readonly<Record<string, unknown>>;
}

const half = { isInterleaved: false } as const;
/** A number that fp32 has exactly, as GGUF files keep it. */
const eps = 2 ** -20;

const gemmaLayer: Partial<LayerDescription> = {
  norms: [
    ...(["attentionNorm", "queryNorm", "keyNorm", "attentionPostNorm"] as const),
    ...(["mlpNorm", "mlpPostNorm"] as const),
  ],
  activation: "gelu-tanh",
};

const phiDivisors = {
  short: [1, 1.25, 1.5, 2, 2.5, 3],
  long: [1, 2, 3, 4, 6, 8],
};
const phiContext = { original: 512, extended: 2048 };

export const tinyFamilies: Readonly<Record<string, TinyFamily>> = {
  llama: {
    model: {
      tiedEmbeddings: false,
      describe: () => ({ window: 60 }),
    },
    gguf: { metadata: {} },
    huggingFace: {
      architectures: ["MistralForCausalLM"],
      model_type: "mistral",
      sliding_window: 60,
    },
  },
  qwen2: {
    model: {
      architecture: "qwen2",
      rmsNormEps: eps,
      ropeTheta: 1_000_000,
      describe: () => ({ biases: ["query", "key", "value"] }),
    },
    gguf: { metadata: { "qwen2.rope.freq_base": 1_000_000 } },
    huggingFace: {
      architectures: ["Qwen2ForCausalLM"],
      model_type: "qwen2",
      rope_theta: 1_000_000,
      sliding_window: 32,
      max_window_layers: 3,
      use_sliding_window: false,
    },
  },
  qwen3: {
    model: {
      architecture: "qwen3",
      rmsNormEps: eps,
      headDim: 32,
      ropeTheta: 1_000_000,
      describe: () => ({ norms: ["attentionNorm", "queryNorm", "keyNorm", "mlpNorm"] }),
    },
    gguf: { metadata: { "qwen3.rope.freq_base": 1_000_000 } },
    huggingFace: {
      architectures: ["Qwen3ForCausalLM"],
      model_type: "qwen3",
      rope_theta: 1_000_000,
      sliding_window: null,
      max_window_layers: 28,
      use_sliding_window: false,
    },
  },
  gemma3: {
    model: {
      architecture: "gemma3",
      rmsNormEps: eps,
      numLayers: 7,
      numKvHeads: 1,
      embeddingScale: 8,
      ropeTheta: 1_000_000,
      moreTables: [[8, 10_000]],
      describe: (layer) =>
        layer === 5
          ? gemmaLayer
          : { ...gemmaLayer, window: 20, rotary: { table: 1, size: 16, ...half } },
    },
    gguf: {
      metadata: {
        "gemma3.rope.freq_base": 1_000_000,
        "gemma3.attention.sliding_window": 20,
      },
    },
    huggingFace: {
      architectures: ["Gemma3ForCausalLM"],
      model_type: "gemma3_text",
      hidden_act: undefined,
      hidden_activation: "gelu_pytorch_tanh",
      query_pre_attn_scalar: 16,
      rope_theta: 1_000_000,
      rope_local_base_freq: 10_000,
      sliding_window: 20,
      sliding_window_pattern: 6,
      tie_word_embeddings: undefined,
      attn_logit_softcapping: null,
      final_logit_softcapping: null,
    },
  },
  phi3: {
    model: {
      architecture: "phi3",
      rmsNormEps: eps,
      contextLength: phiContext.extended,
      firstTable: {
        frequencies: plainRopeFrequencies(12, 10_000).map((f, i) => f / phiDivisors.long[i]!),
        magnitude: Math.fround(longRopeMagnitude(phiContext.extended, phiContext.original)),
      },
      describe: () => ({ window: 100, rotary: { table: 0, size: 12, ...half } }),
    },
    gguf: {
      metadata: {
        "phi3.rope.dimension_count": 12,
        "phi3.rope.scaling.original_context_length": phiContext.original,
        "phi3.rope.scaling.attn_factor": longRopeMagnitude(
          phiContext.extended,
          phiContext.original,
        ),
        "phi3.attention.sliding_window": 100,
      },
      tensors: (["short", "long"] as const).map((name) => ({
        name: `rope_factors_${name}.weight`,
        shape: [6],
        type: "F32",
        data: Float32Array.from(phiDivisors[name]),
      })),
    },
    huggingFace: {
      architectures: ["Phi3ForCausalLM"],
      model_type: "phi3",
      partial_rotary_factor: 0.75,
      original_max_position_embeddings: phiContext.original,
      rope_scaling: {
        type: "longrope",
        short_factor: phiDivisors.short,
        long_factor: phiDivisors.long,
      },
      sliding_window: 100,
    },
  },
};
