import type { Engine } from "../../engine/contract/request.ts";
import { systemTimer } from "../../engine/contract/timer.ts";
import { EngineGroup } from "../../engine/worker/engine-group.ts";
import { engineShare } from "../../engine/worker/engine-share.ts";
import { startEngine } from "../../engine/worker/engine.ts";
import type { EngineOptions } from "../../engine/worker/engine.ts";
import type { SupervisionLog } from "../../engine/worker/engine-replacer.ts";
import { SharedBuilder } from "../../engine/worker/shared-builder.ts";
import { SupervisedEngine } from "../../engine/worker/supervised-engine.ts";
import type { Config } from "../config/config.ts";

export interface StartEnginesOptions {
  readonly config: Pick<Config, "engines" | "engineRestarts">;
  readonly log: SupervisionLog;
}

/**
 * Starts as many engines as the configuration asks for, each with a supervisor of its own.
 * @param options of all engines together
 * @throws SeapError
 */
export async function startEngines(
  options: EngineOptions,
  { config, log }: StartEnginesOptions,
): Promise<Engine> {
  const { engines: count, engineRestarts: maxRestarts } = config;
  const supervise = (own: EngineOptions, ownLog: SupervisionLog) =>
    SupervisedEngine.start({
      start: () => startEngine(own),
      maxRestarts,
      nowMs: () => performance.now(),
      setTimer: systemTimer,
      log: ownLog,
    });
  if (count === 1) return supervise(options, log);
  const { experts, onProgress, onProblem } = options;
  const shared: EngineOptions = {
    ...options,
    ...(experts && { experts: { ...experts, builder: new SharedBuilder(experts.builder) } }),
  };
  const starts = Array.from({ length: count }, (_, index) => () => {
    const engine = index + 1;
    const named = (text: string) => `engine ${engine}: ${text}`;
    const own: EngineOptions = {
      ...engineShare(shared, index, count),
      onProgress: (text) => onProgress?.(named(text)),
      onProblem: (text) => onProblem?.(named(text)),
    };
    return supervise(own, {
      info: (message, fields) => log.info(message, { engine, ...fields }),
      error: (message, fields) => log.error(message, { engine, ...fields }),
    });
  });
  const { maxWaitingRequests, maxWaitingTokens, prefillChunk, prefixCacheBytes } = options;
  const blockTokens = prefixCacheBytes > 0 ? (prefillChunk ?? null) : null;
  return EngineGroup.start({ starts, maxWaitingRequests, maxWaitingTokens, blockTokens });
}
