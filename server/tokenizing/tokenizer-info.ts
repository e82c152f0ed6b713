import type { RequestHandler } from "express";
import type { ModelService } from "../model/model-service.ts";

/** GET /tokenizer_info, in the words of `tokenizer_config.json`. */
export function tokenizerInfo(service: ModelService): RequestHandler {
  return (_req, res) => {
    const { codec, engine } = service.ready();
    const info = codec.tokenizerInfo;
    res.json({
      tokenizer_class: info.className,
      vocab_size: info.vocabSize,
      model_max_length: engine.limits.contextLength,
      bos_token: info.bosToken,
      eos_token: info.eosToken,
      pad_token: info.padToken,
      add_bos_token: info.addsBos,
      chat_template: info.chatTemplate,
    });
  };
}
