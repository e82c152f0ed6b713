import { join } from "node:path";
import { defaultCacheDir } from "../../model/files/file-cache.ts";
import type { EngineOptions } from "../../engine/worker/engine.ts";
import type { Engine } from "../../engine/contract/request.ts";
import type { ModelConfig } from "../../model/weights/config.ts";
import { stageBorders } from "../../model/stages/model-stages.ts";
import { openModel } from "../../model/weights/open-model.ts";
import { readGenerationDefaults } from "../../model/text/generation-defaults.ts";
import { resolveModel } from "../../model/source/source.ts";
import type { ResolvedModel } from "../../model/source/source.ts";
import { denseShape } from "../../model/weights/layer-spec.ts";
import { BackgroundCodec, type CodecTasks } from "../text/background-codec.ts";
import { Background } from "../background/background.ts";
import { ConfigError } from "../base/config-error.ts";
import type { Config } from "../config/config.ts";
import { DownloadProgress } from "./download-progress.ts";
import type { ExpertSource } from "../experts/expert-source.ts";
import { prepareExperts } from "../experts/prepare-experts.ts";
import type { PreparedExperts } from "../experts/prepare-experts.ts";
import type { Log } from "../base/log.ts";
import { toWireDefaults } from "./generation-defaults.ts";
import { ModelCodec } from "../text/model-codec.ts";
import type { LoadedModel } from "./model-service.ts";
import { startEngines } from "./start-engines.ts";
import { planRouter } from "../routing/router-source.ts";
import type { RouterSource } from "../routing/router-source.ts";

/** Share of the available memory that keys and values may take where the user does not say. */
const DEFAULT_KV_SHARE = 0.25;
/** Of the memory at hand, for prompt beginnings that may come again. */
const DEFAULT_PREFIX_CACHE_SHARE = 0.05;

/** For a prompt, or some of many; far more than an ordinary one takes on a machine that is busy. */
const encodingBudgetMs = 10_000;

/** Where comes what the model is served with. */
export interface ModelSources {
  /** Of the router, where the configuration names none. @default nowhere */
  readonly router?: RouterSource;
  /** @default nowhere: dense answers everything */
  readonly experts?: ExpertSource;
  /** Told what is being done until the model is there, for a person. */
  readonly onProgress?: (text: string) => void;
  /** Module that is the engine's thread. @default the server's own */
  readonly worker?: URL;
}

/**
 * Finds, fetches, opens and loads the model that the configuration names, with its router and experts.
 * @throws ModelLoadError, ConfigError, another SeapError when the router cannot be used
 */
export async function loadModel(
  config: Config,
  log: Log,
  sources: ModelSources = {},
): Promise<LoadedModel> {
  const tell = (text: string): void => {
    log.info(text);
    sources.onProgress?.(text);
  };
  const resolved = await fetchModel(config, log, tell);
  log.info("loading model", { name: resolved.name, weights: config.weights });
  const startedAt = performance.now();
  const cacheDir = config.cacheDir ?? defaultCacheDir(process.env);
  const { weights, tokenizer: tokenizerSource } = await openModel(resolved.path, {
    ...(config.contextLength > 0 && { contextLength: config.contextLength }),
    hashFolder: join(cacheDir, "hashes"),
  });
  weights.close();
  const { vocabSize } = weights.config;
  const codec = new ModelCodec(tokenizerSource);
  const generationDefaults =
    config.generationConfig === "auto" ? readGenerationDefaults(tokenizerSource) : {};
  if (Object.keys(generationDefaults).length > 0) {
    log.info("generation defaults of the model", toWireDefaults(generationDefaults));
  }
  const contextLength = contextLengthOf(config, weights.config);
  const { contentHash } = weights;
  const { path: modelPath } = resolved;
  const availableBytes = process.availableMemory();
  const source = sources.router ?? null;
  const router = planRouter({ config, modelPath, contentHash, source, log });
  let engine: Engine | undefined;
  let experts: PreparedExperts | null = null;
  try {
    if (sources.experts) {
      const { tasks } = router;
      const options = { config, tasks, modelPath, contentHash, availableBytes, log };
      experts = prepareExperts(sources.experts, options);
    }
    const engineOptions: EngineOptions = {
      modelPath,
      contentHash,
      preparedFolder: join(cacheDir, "prepared"),
      weights: config.weights,
      threads: config.threads,
      contextLength,
      vocabSize,
      maxBatch: config.maxBatch,
      prefillChunk: config.prefillChunk,
      // The 4-bit kernels give a single token other bits than several at once.
      draftMax: config.weights === "q4" ? 0 : config.draftMax,
      maxGapMs: config.maxGap,
      kvMemoryBytes: config.kvMemory ?? Math.floor(availableBytes * DEFAULT_KV_SHARE),
      prefixCacheBytes:
        config.prefixCache ?? Math.floor(availableBytes * DEFAULT_PREFIX_CACHE_SHARE),
      tokenTable: codec.tokenTable,
      maxWaitingRequests: config.maxWaitingRequests,
      maxWaitingTokens: config.maxWaitingTokens,
      ...(experts && { experts }),
      answerTimeoutMs: config.engineTimeoutSeconds * 1000,
      onProgress: tell,
      onProblem: (error) => log.error("engine", { error }),
      worker: sources.worker ?? new URL("./engine-worker.js", import.meta.url),
    };
    engine = await startEngines(engineOptions, { config, log });
    await router.use(engine);
  } catch (error) {
    router.close();
    await engine?.close();
    throw error;
  }
  const background: CodecTasks = new Background({
    worker: new URL("../text/codec-worker.js", import.meta.url),
    workerData: () => modelPath,
    budgetMs: encodingBudgetMs,
  });
  const [id = resolved.name, ...aliases] = config.modelName ?? [];
  const seconds = Number(((performance.now() - startedAt) / 1000).toFixed(1));
  const { engines, threads } = config;
  log.info("model ready", {
    ...{ model: id, contextLength, threads },
    ...(engines > 1 && { engines }),
    seconds,
  });
  return {
    names: [id, ...aliases],
    engine,
    codec: new BackgroundCodec(codec, background),
    generationDefaults,
    tasks: router.tasks,
    experts: experts && { memoryBytes: experts.options.memoryBytes, builder: experts.builder },
    middle: { firstLayer: stageBorders(weights.config).middle, layer: denseShape(weights.config) },
    routerMap: () => router.map,
    async close() {
      router.close();
      await background.close();
      await engine.close();
    },
  };
}

async function fetchModel(
  config: Config,
  log: Log,
  tell: (text: string) => void,
): Promise<ResolvedModel> {
  const progress = new DownloadProgress(tell);
  return resolveModel(config.model, {
    ...(config.cacheDir !== undefined && { cacheDir: config.cacheDir }),
    acceptedLicenses: config.acceptLicense,
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
