import { EngineHungError, EngineStoppedError } from "../contract/errors.ts";
import type { Engine } from "../contract/request.ts";
import { stackOf } from "../contract/request-failure.ts";
import type { SetTimer } from "../contract/timer.ts";

export interface SupervisionOptions {
  /** Starts an engine, the same each time. @throws SeapError */
  readonly start: () => Promise<Engine>;
  /** Attempts in a row to start the engine anew; one that runs for a minute ends the row. */
  readonly maxRestarts: number;
  /** Milliseconds on a steady clock. */
  readonly nowMs: () => number;
  readonly setTimer: SetTimer;
  readonly log: SupervisionLog;
}

export interface SupervisionLog {
  info(message: string, fields: Readonly<Record<string, unknown>>): void;
  error(message: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface EngineReplacerOptions extends SupervisionOptions {
  /** No engine is wanted any more. */
  readonly isClosed: () => boolean;
  /** Settles when that is so. */
  readonly closed: Promise<unknown>;
  /** Gives a new engine what the one before had. Nothing comes of an engine when this rejects. */
  readonly prepare: (engine: Engine) => Promise<void>;
}

/** Before the first attempt to start anew; each further one of a row waits twice as long. */
const firstDelayMs = 500;
const longestDelayMs = 30_000;
/** Who has run for so long has not failed in a row. */
const healthyMs = 60_000;

/** Puts another engine in the place of one that has failed. */
export class EngineReplacer {
  readonly #options: EngineReplacerOptions;
  #restarts = 0;
  #failures = 0;
  #startedMs: number;

  /** There is an engine that has just started. */
  constructor(options: EngineReplacerOptions) {
    this.#options = options;
    this.#startedMs = options.nowMs();
  }

  /** Times that an engine was started anew. */
  get restarts(): number {
    return this.#restarts;
  }

  /** @returns another engine; the error with which there will be none; null where none is wanted any more */
  async replace(
    engine: Engine,
    error: EngineStoppedError,
  ): Promise<Engine | EngineStoppedError | null> {
    const { nowMs, log, maxRestarts, isClosed } = this.#options;
    if (nowMs() - this.#startedMs >= healthyMs) this.#failures = 0;
    let problem: unknown = error;
    if (!(error instanceof EngineHungError)) {
      await engine.close().catch((failure: unknown) => (problem = failure));
    }
    while (!isClosed()) {
      const failures = ++this.#failures;
      const isLast = problem instanceof EngineHungError || failures > maxRestarts;
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** (failures - 1));
      log.error("engine failed", {
        failuresInARow: failures,
        ...(!isLast && { restartInMs: delayMs }),
        error: stackOf(problem),
      });
      if (isLast) return asStopped(problem);
      await this.#pause(delayMs);
      if (isClosed()) break;
      const restarted = await this.#restart().catch((failure: unknown) => {
        problem = failure;
        return null;
      });
      if (restarted) return restarted;
    }
    return null;
  }

  /** Ends early when no engine is wanted any more. */
  async #pause(delayMs: number): Promise<void> {
    let cancel = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      cancel = this.#options.setTimer(resolve, delayMs);
    });
    await Promise.race([over, this.#options.closed]).finally(cancel);
  }

  /** @returns null when none is wanted any more */
  async #restart(): Promise<Engine | null> {
    const { start, nowMs, log, prepare, isClosed } = this.#options;
    this.#restarts++;
    const startedMs = nowMs();
    const engine = await start();
    await prepare(engine);
    if (isClosed()) {
      await engine.close();
      return null;
    }
    this.#startedMs = nowMs();
    const seconds = Number(((this.#startedMs - startedMs) / 1000).toFixed(1));
    log.info("engine restarted", { seconds, restarts: this.#restarts });
    return engine;
  }
}

function asStopped(problem: unknown): EngineStoppedError {
  if (problem instanceof EngineStoppedError) return problem;
  return new EngineStoppedError("The engine could not be started anew.", { cause: problem });
}
