import type { ExpertOptions } from "../../engine/contract/experts.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../base/log.ts";
import type { ExpertBuilderOptions, ExpertSource } from "./expert-source.ts";
import { ObservedBuilder } from "./observed-builder.ts";
import { planExperts } from "./plan-experts.ts";

export interface PrepareOptions extends Pick<ExpertBuilderOptions, "modelPath" | "contentHash"> {
  readonly config: Config;
  /** Of the router. */
  readonly tasks: readonly string[];
  /** Memory that nothing else takes. */
  readonly availableBytes: number;
  readonly log: Log;
}

/** What the engine is started with. */
export interface PreparedExperts {
  readonly options: ExpertOptions;
  readonly builder: ObservedBuilder;
}

/**
 * The experts that the configuration asks for, and what builds them.
 * @returns null where there are none
 * @throws ConfigError
 */
export function prepareExperts(
  source: ExpertSource,
  { config, tasks, availableBytes, modelPath, contentHash, log }: PrepareOptions,
): PreparedExperts | null {
  const planned = planExperts({ config, tasks, source, availableBytes });
  if (planned === null) return null;
  const { options, settings } = planned;
  const { weights, cacheDir } = config;
  const builder = source.createBuilder({
    modelPath,
    contentHash,
    weights,
    cacheDir,
    settings,
    log: (line) => log.info(line),
  });
  const memory = `${Math.floor(options.memoryBytes / 2 ** 20)} MiB`;
  log.info("serving experts", { tasks: Object.keys(settings.tasks).join(","), memory });
  return { options, builder: new ObservedBuilder(builder, log, () => performance.now()) };
}
