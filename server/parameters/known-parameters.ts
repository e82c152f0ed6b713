import { allIdle, idle, type ParameterTable, refused } from "./parameter-table.ts";

const omit = "leave it out";

/** Samplers that are not here. */
const samplers: ParameterTable = {
  typical_p: refused([1], "use top_p or min_p"),
  tfs_z: refused([1], "use top_p or min_p"),
  top_a: refused([0], "use min_p"),
  epsilon_cutoff: refused([0], "use min_p"),
  eta_cutoff: refused([0], "use min_p"),
  top_n_sigma: refused([-1, 0], "use min_p"),
  adaptive_target: refused([-1], "use temperature"),
  dynatemp_range: refused([0], "use temperature"),
  smoothing_factor: refused([0], "use temperature"),
  xtc_probability: refused([0], "use temperature"),
  mirostat: refused([0], "use top_p or min_p"),
  mirostat_mode: refused([0], "use top_p or min_p"),
  dry_multiplier: refused([0], "use frequency_penalty or repetition_penalty"),
  no_repeat_ngram_size: refused([0], "use frequency_penalty or bad_words"),
  encoder_repetition_penalty: refused([1], "use repetition_penalty"),
  penalty_alpha: refused([0], omit),
  penalize_nl: refused([true], omit, withoutRepetitionPenalty),
  penalize_newline: refused([true], omit, withoutRepetitionPenalty),
  do_sample: refused([true], "set temperature to 0"),
  min_keep: refused([0], omit),
  samplers: refused([], "the order of the samplers is fixed; leave it out"),
  sampler_seed: refused([-1], "use seed"),
  temperature_last: refused([false], "the order of the samplers is fixed"),
  ...allIdle(
    ["dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"],
    "matters with `dry_multiplier` alone",
  ),
  xtc_threshold: idle("matters with `xtc_probability` alone"),
  dynatemp_exponent: idle("matters with `dynatemp_range` alone"),
  smoothing_curve: idle("matters with `smoothing_factor` alone"),
  adaptive_decay: idle("matters with `adaptive_target` alone"),
  ...allIdle(["mirostat_tau", "mirostat_eta"], "matters with `mirostat` alone"),
};

/** What else would change the answer. */
const behaviour: ParameterTable = {
  use_beam_search: refused([false], "set n"),
  length_penalty: refused([1], "it is for beam search"),
  early_stopping: refused([false], "it is for beam search"),
  logits_processors: refused([[]], "use logit_bias, allowed_token_ids or bad_words"),
  vllm_xargs: refused([{}], omit),
  ban_eos_token: refused([false], "use min_tokens or ignore_eos"),
  negative_prompt: refused([""], omit),
  guidance_scale: refused([1], omit),
  cfg_scale: refused([1], omit),
  priority: refused([0], "requests are served in order"),
  t_max_predict_ms: refused([0, -1], "use max_tokens"),
  n_indent: refused([0], omit),
  lora: refused([[]], "name the expert in model"),
  documents: refused([[]], "write them into the messages, or into chat_template_kwargs"),
  image_data: refused([[]], "the model reads text alone"),
  images: refused([[]], "the model reads text alone"),
  multimodal_data: refused([[]], "the model reads text alone"),
  kv_transfer_params: refused([{}], omit),
  format: refused([""], "use response_format"),
  guided_whitespace_pattern: refused([], "use guided_regex or guided_grammar"),
  grammar_lazy: refused([false], "use tools"),
  grammar_triggers: refused([[]], "use tools"),
  parse_tool_calls: refused([true], "leave tools out"),
  template: refused([], "the model's own chat template is used as it is"),
  system: refused([""], "send a message of the role system"),
  context: refused([[]], "send the conversation"),
  raw: refused([false], "use /v1/completions"),
  options: refused([], "send its fields beside the others", isIdleOptions),
};

/** What would add to the answer. */
const additions: ParameterTable = {
  prompt_logprobs: refused([], "use echo with logprobs of /v1/completions"),
  n_probs: refused([0], "use logprobs"),
  post_sampling_probs: refused([false], "logprobs are the model's own"),
  return_tokens_as_token_ids: refused([false], "use /tokenize"),
  return_token_ids: refused([false], "use /tokenize"),
  return_tokens: refused([false], "use /tokenize"),
  return_progress: refused([false], omit),
  response_fields: refused([[]], omit),
};

/** What is about the machine, the bill or the log. */
const matters: ParameterTable = {
  ...allIdle(
    ["user", "metadata", "store", "service_tier", "safety_identifier"],
    "nothing here goes by it",
  ),
  ...allIdle(["prompt_cache_key", "prompt_cache_retention"], "use `cache_salt`"),
  prediction: idle("it would only be faster"),
  verbosity: idle("the model knows none"),
  ...allIdle(
    ["thinking_budget_tokens", "thinking_token_budget"],
    "thinking ends when the model ends it, or with `max_tokens`",
  ),
  ...allIdle(["think", "thinking", "reasoning"], "use `chat_template_kwargs`"),
  thinking_forced_open: idle("use `chat_template_kwargs`"),
  request_id: idle("use the header `x-request-id`"),
  spaces_between_special_tokens: idle("tokens are joined as they are"),
  ...allIdle(
    ["guided_decoding_backend", "guided_json_object_backend", "preserved_tokens"],
    "there is one way of following grammars",
  ),
  ...allIdle(
    ["num_ctx", "truncation_length", "n_keep", "num_keep", "n_discard"],
    "the context is the model's, and never cut without `truncate_prompt_tokens`",
  ),
  ...allIdle(["timings_per_token"], "the metrics tell the times"),
  ...allIdle(
    [
      ...["id_slot", "slot_id", "n_cache_reuse", "keep_alive", "num_thread", "num_gpu", "main_gpu"],
      ...["num_batch", "num_gqa", "low_vram", "f16_kv", "use_mmap", "use_mlock", "numa"],
      ...["vocab_only", "logits_all", "backend_sampling", "speculative.n_min"],
      ...["speculative.n_max", "speculative.p_min"],
    ],
    "the server decides what runs where",
  ),
};

const common: ParameterTable = { ...samplers, ...behaviour, ...additions, ...matters };

const ownTemplate = "the model's own chat template is used as it is";

/** What would change how a conversation is shown to the model. */
export const knownInTemplates: ParameterTable = {
  chat_template: refused([], ownTemplate),
  documents: behaviour["documents"]!,
};

export const knownInChat: ParameterTable = {
  ...common,
  ...knownInTemplates,
  functions: refused([[]], "use tools", (_, body) => body["function_call"] === "none"),
  function_call: refused(["none", "auto"], "use tool_choice"),
  audio: refused([], omit),
  web_search_options: refused([], omit),
  modalities: refused([["text"]], omit),
  echo: refused([false], "use /v1/completions"),
  add_special_tokens: refused([false], "the chat template adds them"),
  mm_processor_kwargs: refused([{}], "the model reads text alone"),
  media_io_kwargs: refused([{}], "the model reads text alone"),
};

export const knownInCompletions: ParameterTable = {
  ...common,
  suffix: refused([""], omit),
  best_of: refused([], "it must equal n", (value, body) => value === (body["n"] ?? 1)),
  add_special_tokens: refused([true], "send token ids"),
  add_bos_token: refused([true], "send token ids"),
  parallel_tool_calls: idle("there are no tools here"),
  ...allIdle(["include_reasoning", "reasoning_format"], "the model's text is told as it is"),
};

/** Has a meaning in responses. */
const ofResponses = ["user", "metadata", "store", "reasoning"];

export const knownInResponses: ParameterTable = {
  ...Object.fromEntries(Object.entries(common).filter(([name]) => !ofResponses.includes(name))),
  background: refused([false], "the answer comes with the response"),
  conversation: refused([], "use previous_response_id"),
  prompt: refused([], omit),
  moderation: refused([], omit),
  context_management: refused([], omit),
  stream_options: idle("usage always comes with the last event"),
  max_tool_calls: idle("calls are the client's to answer"),
};

function withoutRepetitionPenalty(_: unknown, body: Readonly<Record<string, unknown>>): boolean {
  const { repetition_penalty: own, repeat_penalty: other } = body;
  return (own ?? other ?? 1) === 1;
}

/** Ollama's, where they are about the machine alone. */
function isIdleOptions(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.keys(value).every((name) => matters[name]?.kind === "idle")
  );
}
