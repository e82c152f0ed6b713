/** How conversations are written for models that bring no template along, by the tokens that they know. */
export interface FallbackTemplate {
  readonly name: string;
  readonly tokens: readonly string[];
  /** Jinja. */
  readonly text: string;
}

export const fallbackTemplates: readonly FallbackTemplate[] = [
  {
    name: "ChatML",
    tokens: ["<|im_start|>", "<|im_end|>"],
    text:
      "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n" +
      "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
  },
  {
    // Has no system role: what is said in it is folded into the first message of the user.
    name: "Gemma",
    tokens: ["<start_of_turn>", "<end_of_turn>"],
    text:
      "{{ bos_token }}{% for message in messages %}" +
      "{% if message.role not in ['user', 'assistant'] %}" +
      "{{ raise_exception('there is no role ' + message.role) }}{% endif %}" +
      "<start_of_turn>{{ 'model' if message.role == 'assistant' else 'user' }}\n" +
      "{{ message.content | trim }}<end_of_turn>\n" +
      "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
  },
];
