/** What a model brings along to build its tokenizer and chat template from. */
export type TokenizerSource =
  | {
      readonly kind: "gguf";
      /** Of the file, for messages. */
      readonly path: string;
      /** All metadata of the header by key, `tokenizer.ggml.*` among them; 64-bit integers are bigints. */
      readonly metadata: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: "huggingface";
      /** Of `tokenizer.json`, for messages. */
      readonly path: string;
      /** `tokenizer.json`, parsed. */
      readonly tokenizerJson: object;
      /** `tokenizer_config.json`, parsed; empty where the file is absent. */
      readonly tokenizerConfig: Readonly<Record<string, unknown>>;
      /** `generation_config.json`, parsed. */
      readonly generationConfig: Readonly<Record<string, unknown>> | null;
      /** `chat_template.jinja`, or the template of the tokenizer's configuration. */
      readonly chatTemplate: string | null;
    };
