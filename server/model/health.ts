import type { RequestHandler } from "express";
import { packageVersion } from "../base/package-version.ts";
import { toWireDefaults } from "./generation-defaults.ts";
import type { ModelService } from "./model-service.ts";

/** GET /health: the process is alive, whatever the model does. */
export const health: RequestHandler = (_req, res) => {
  res.json({ status: "ok" });
};

/** GET and POST /ping, as vLLM has it: alive, without a word. */
export const ping: RequestHandler = (_req, res) => {
  res.status(200).end();
};

/** GET /version, as vLLM has it. */
export const version: RequestHandler = (_req, res) => {
  res.json({ version: packageVersion() });
};

/** GET /props: what llama.cpp's clients ask of a model. */
export function props(service: ModelService): RequestHandler {
  return (_req, res) => {
    const { names, codec, engine, generationDefaults } = service.ready();
    const { repetition_penalty: repeat_penalty = 1, ...sampling } =
      toWireDefaults(generationDefaults);
    const { contextLength, maxBatch } = engine.limits;
    const { chatTemplate, bosToken, eosToken } = codec.tokenizerInfo;
    res.json({
      default_generation_settings: {
        n_ctx: contextLength,
        params: { temperature: 1, top_p: 1, top_k: 0, min_p: 0, ...sampling, repeat_penalty },
      },
      total_slots: maxBatch,
      model_alias: names[0],
      chat_template: chatTemplate,
      bos_token: bosToken ?? "",
      eos_token: eosToken ?? "",
      modalities: { vision: false, audio: false },
      build_info: `seap-server ${packageVersion()}`,
    });
  };
}

/** GET /ready: requests will be answered. Otherwise the error that they would get. */
export function ready(service: ModelService): RequestHandler {
  return (_req, res) => {
    service.ready();
    res.json({ status: "ready" });
  };
}
