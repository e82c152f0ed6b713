import { startEngine } from "../engine/engine.ts";
import { createChatTemplate } from "../model/chat-template.ts";
import type { ChatTemplate } from "../model/chat-template.ts";
import type { ModelConfig } from "../model/config.ts";
import { openModel } from "../model/open-model.ts";
import { resolveModel } from "../model/source.ts";
import type { ResolvedModel } from "../model/source.ts";
import { createTokenizer } from "../model/tokenizer.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { ChatMessage, TextCodec } from "./codec.ts";
import { ConfigError } from "./config-error.ts";
import type { Config } from "./config.ts";
import { DownloadProgress } from "./download-progress.ts";
import type { Log } from "./log.ts";
import type { LoadedModel } from "./model-service.ts";

/** Share of the available memory that keys and values may take where the user does not say. */
const DEFAULT_KV_SHARE = 0.25;

/**
 * Finds, fetches, opens and loads the model that the configuration names.
 * @throws ModelLoadError, ConfigError
 */
export async function loadModel(config: Config, log: Log): Promise<LoadedModel> {
  const resolved = await fetchModel(config, log);
  log.info("loading model", { name: resolved.name, weights: config.weights });
  const startedAt = performance.now();
  const { weights, tokenizer: source } = await openModel(resolved.path);
  weights.close();
  const { vocabSize } = weights.config;
  const tokenizer = createTokenizer(source);
  const codec = new ModelCodec(tokenizer, createChatTemplate(source, tokenizer));
  const contextLength = contextLengthOf(config, weights.config);
  const engine = await startEngine({
    modelPath: resolved.path,
    weights: config.weights,
    threads: config.threads,
    contextLength,
    vocabSize,
    maxBatch: config.maxBatch,
    prefillChunk: config.prefillChunk,
    kvMemoryBytes: config.kvMemory ?? Math.floor(process.availableMemory() * DEFAULT_KV_SHARE),
    tokenTable: tokenizer.tokenTable,
    maxWaitingRequests: config.maxWaitingRequests,
    maxWaitingTokens: config.maxWaitingTokens,
    onProgress: (text) => log.info(text),
  });
  const [id = resolved.name, ...aliases] = config.modelName ?? [];
  const seconds = Number(((performance.now() - startedAt) / 1000).toFixed(1));
  log.info("model ready", { model: id, contextLength, threads: config.threads, seconds });
  return { names: [id, ...aliases], engine, codec };
}

async function fetchModel(config: Config, log: Log): Promise<ResolvedModel> {
  const progress = new DownloadProgress(log);
  return resolveModel(config.model, {
    ...(config.cacheDir !== undefined && { cacheDir: config.cacheDir }),
    log: (line) => log.info(line),
    onProgress: (event) => progress.report(event),
  });
}

function contextLengthOf(config: Config, model: ModelConfig): number {
  if (config.contextLength > model.contextLength) {
    throw new ConfigError(
      `--context-length: the model was trained for ${model.contextLength} tokens, ` +
        `expected at most that, got ${config.contextLength}.`,
    );
  }
  return config.contextLength === 0 ? model.contextLength : config.contextLength;
}

class ModelCodec implements TextCodec {
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;

  constructor(tokenizer: Tokenizer, template: ChatTemplate) {
    this.#tokenizer = tokenizer;
    this.#template = template;
  }

  encodeChat(messages: readonly ChatMessage[]): Uint32Array {
    return this.#template.encode(messages, { addGenerationPrompt: true });
  }

  encodeText(text: string): Uint32Array {
    // As vLLM and llama.cpp: a completion prompt may spell control tokens.
    return this.#tokenizer.encode(text, { parseSpecial: true });
  }
}
