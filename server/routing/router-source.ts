import type { Engine } from "../../engine/contract/request.ts";
import { SeapError } from "../../model/errors.ts";
import { RouterError } from "../../router/errors.ts";
import { readRouterFile } from "../../router/router-file.ts";
import { createRouterMap } from "../../router/router-map.ts";
import type { RouterMap } from "../../router/router-map.ts";
import { ConfigError } from "../base/config-error.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../base/log.ts";
import { noTask } from "../config/rules.ts";

/** Where a router comes from when the user names none. */
export interface RouterSource {
  /** Tasks that the router tells apart, sorted. */
  readonly tasks: readonly string[];
  /**
   * Path of the router's file, which may have to be made first.
   * @throws SeapError when it cannot be, and the signal's reason
   */
  file(options: RouterFileOptions): Promise<string>;
}

export interface RouterFileOptions {
  /** GGUF file or model folder. */
  readonly modelPath: string;
  /** Of the model. */
  readonly contentHash: string;
  readonly weights: Config["weights"];
  readonly cacheDir: string | undefined;
  readonly signal: AbortSignal;
}

/** The router that the configuration asks for, on its way to the engine. */
export interface PlannedRouter {
  /** Tasks that may be asked for; none without a router. */
  readonly tasks: readonly string[];
  /** Null before the router is used, and where its strategy has none. */
  readonly map: RouterMap | null;
  /** Hands the router to the engine: one of the user's now, another when it is there. @throws SeapError */
  use(engine: Engine): Promise<void>;
  /** Ends the making of a router. May be called twice. */
  close(): void;
}

export interface RouterPlanOptions {
  readonly config: Pick<Config, "router" | "routing" | "weights" | "cacheDir">;
  readonly modelPath: string;
  /** Of the model. */
  readonly contentHash: string;
  /** Null where there is no other router than the user's. */
  readonly source: RouterSource | null;
  readonly log: Log;
}

/**
 * Begins to make the router where it has to be made.
 * @throws SeapError when the user's file is no router of the model, ConfigError when a rule names another task.
 */
export function planRouter(options: RouterPlanOptions): PlannedRouter {
  const { config, contentHash, source } = options;
  if (config.router === "off" || (config.router === "auto" && source === null)) {
    checkRules(config, []);
    return { tasks: [], map: null, use: () => Promise.resolve(), close: () => undefined };
  }
  if (config.router === "auto") {
    checkRules(config, source!.tasks);
    return sourceRouter(source!, options);
  }
  const router = readRouterFile(config.router, contentHash);
  const { tasks, featureKind } = router;
  if (featureKind === "embedding") {
    throw new RouterError(
      `${config.router}: decides by input embeddings, which the server does not add up. Expected a router ` +
        `of seap router fit.`,
    );
  }
  checkRules(config, tasks);
  return {
    tasks,
    map: createRouterMap(router),
    use: (engine) => engine.useRouter(config.router),
    close: () => undefined,
  };
}

function sourceRouter(source: RouterSource, options: RouterPlanOptions): PlannedRouter {
  const { config, modelPath, contentHash, log } = options;
  const { weights, cacheDir } = config;
  const controller = new AbortController();
  const { signal } = controller;
  const startedAt = performance.now();
  log.info("preparing a router in the background", { tasks: source.tasks.join(",") });
  const file = source.file({ modelPath, contentHash, weights, cacheDir, signal });
  // Looked at when the engine is there.
  file.catch(() => undefined);
  let map: RouterMap | null = null;
  const use = async (engine: Engine) => {
    try {
      const path = await file;
      await engine.useRouter(path);
      map = createRouterMap(readRouterFile(path, contentHash));
      const seconds = Number(((performance.now() - startedAt) / 1000).toFixed(1));
      log.info("routing prompts", { seconds });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof SeapError)) throw error;
      log.warn("prompts are not routed", { error: error.message });
    }
  };
  return {
    tasks: source.tasks,
    get map() {
      return map;
    },
    // Requests are answered meanwhile.
    use: (engine) => {
      void use(engine);
      return Promise.resolve();
    },
    close: () => controller.abort(),
  };
}

function checkRules(
  { routing, router }: RouterPlanOptions["config"],
  tasks: readonly string[],
): void {
  for (const [index, { task }] of routing.rules.entries()) {
    if (task === noTask || tasks.includes(task)) continue;
    const known = [...tasks, noTask].join(", ");
    throw new ConfigError(
      `routing: rules.${index}.task: expected one of ${known}, which are the tasks of --router ${router}, ` +
        `got ${JSON.stringify(task)}.`,
    );
  }
}
