import { join, resolve } from "node:path";
import { ArtifactStore } from "../model/experts/artifact-store.ts";
import { createChatTemplate } from "../model/text/chat-template.ts";
import type { ChatTemplate } from "../model/text/chat-template.ts";
import type { ModelWeights } from "../model/weights/config.ts";
import { defaultCacheDir } from "../model/files/file-cache.ts";
import { openModel } from "../model/weights/open-model.ts";
import type { SourceProgress } from "../model/source/source-options.ts";
import { resolveModel } from "../model/source/source.ts";
import { createTokenizer } from "../model/text/tokenizer.ts";
import type { Tokenizer } from "../model/text/tokenizer.ts";
import { CorpusEncoder } from "../prune/tasks/corpus-encoder.ts";

export interface ModelSessionOptions {
  /** `default`, a GGUF file, a model folder, or `hf:org/name[:file]`. */
  readonly model: string;
  /** @default the user's cache folder */
  readonly cacheDir: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  readonly onProgress?: (progress: SourceProgress) => void;
}

/** A model as the commands that work on it need it. */
export interface ModelSession {
  /** `org/name` for models of the hub, else the file's without its extension, or the folder's. */
  readonly name: string;
  readonly path: string;
  readonly weights: ModelWeights;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** Turns rows into tokens as the server would. */
  readonly encoder: CorpusEncoder;
  /** Profiles, experts and reports of all models, in the cache folder. */
  readonly store: ArtifactStore;
  close(): void;
}

/**
 * Finds, fetches and opens a model with its tokenizer, chat template and artifacts. The caller closes it.
 * @throws ModelLoadError
 */
export async function openModelSession(options: ModelSessionOptions): Promise<ModelSession> {
  const { model, env, log, onProgress } = options;
  const cacheDir = cacheFolder(options.cacheDir, env);
  const { name, path } = await resolveModel(model, {
    env,
    cacheDir,
    log,
    ...(onProgress && { onProgress }),
  });
  const { weights, tokenizer: source } = await openModel(path);
  try {
    const tokenizer = createTokenizer(source);
    const template = createChatTemplate(source, tokenizer);
    return {
      name,
      path,
      weights,
      tokenizer,
      template,
      encoder: new CorpusEncoder(tokenizer, template),
      store: artifactStore(cacheDir),
      close: () => weights.close(),
    };
  } catch (error) {
    weights.close();
    throw error;
  }
}

/** The folder of fetched models and of artifacts. */
export function cacheFolder(
  cacheDir: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string {
  return cacheDir === undefined ? defaultCacheDir(env) : resolve(cacheDir);
}

/** What `seap prune` has made, and `seap serve` and `seap eval` read. */
export function artifactStore(cacheDir: string): ArtifactStore {
  return new ArtifactStore(join(cacheDir, "artifacts"));
}
