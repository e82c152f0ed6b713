import type { TensorNames } from "../tensor-names.ts";

/** What llama.cpp's converter calls the tensors of most architectures. */
export const ggufTensors: TensorNames = {
  model: {
    embedding: "token_embd.weight",
    finalNorm: "output_norm.weight",
    lmHead: "output.weight",
  },
  layer: {
    attentionNorm: "blk.{layer}.attn_norm.weight",
    query: "blk.{layer}.attn_q.weight",
    key: "blk.{layer}.attn_k.weight",
    value: "blk.{layer}.attn_v.weight",
    queryNorm: "blk.{layer}.attn_q_norm.weight",
    keyNorm: "blk.{layer}.attn_k_norm.weight",
    output: "blk.{layer}.attn_output.weight",
    attentionPostNorm: "blk.{layer}.post_attention_norm.weight",
    mlpNorm: "blk.{layer}.ffn_norm.weight",
    gate: "blk.{layer}.ffn_gate.weight",
    up: "blk.{layer}.ffn_up.weight",
    down: "blk.{layer}.ffn_down.weight",
    mlpPostNorm: "blk.{layer}.post_ffw_norm.weight",
  },
  ignored: /^rope_(freqs|factors_long|factors_short)\.weight$|\.attn_rot_embd\.weight$/,
};

/**
 * What Hugging Face transformers calls the tensors of most architectures: of those without norms after the modules, so
 * that an architecture with them names `mlpNorm` anew.
 */
export const huggingFaceTensors: TensorNames = {
  model: {
    embedding: "model.embed_tokens.weight",
    finalNorm: "model.norm.weight",
    lmHead: "lm_head.weight",
  },
  layer: {
    attentionNorm: "model.layers.{layer}.input_layernorm.weight",
    query: "model.layers.{layer}.self_attn.q_proj.weight",
    key: "model.layers.{layer}.self_attn.k_proj.weight",
    value: "model.layers.{layer}.self_attn.v_proj.weight",
    queryNorm: "model.layers.{layer}.self_attn.q_norm.weight",
    keyNorm: "model.layers.{layer}.self_attn.k_norm.weight",
    output: "model.layers.{layer}.self_attn.o_proj.weight",
    attentionPostNorm: "model.layers.{layer}.post_attention_layernorm.weight",
    mlpNorm: "model.layers.{layer}.post_attention_layernorm.weight",
    gate: "model.layers.{layer}.mlp.gate_proj.weight",
    up: "model.layers.{layer}.mlp.up_proj.weight",
    down: "model.layers.{layer}.mlp.down_proj.weight",
    mlpPostNorm: "model.layers.{layer}.post_feedforward_layernorm.weight",
  },
  ignored: /\.rotary_emb\.inv_freq$/,
};
