import type { SeapError } from "../../model/errors.ts";
import { EngineHungError, EngineRestartingError, EngineStoppedError } from "../contract/errors.ts";
import type { ExpertSnapshot } from "../contract/experts.ts";
import type {
  Engine,
  EngineLimits,
  EngineStats,
  ExpertCommand,
  GenerateEvent,
  GenerateRequest,
  StepObserver,
} from "../contract/request.ts";
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

/** Before the first attempt to start anew; each further one of a row waits twice as long. */
const firstDelayMs = 500;
const longestDelayMs = 30_000;
/** Who has run for so long has not failed in a row. */
const healthyMs = 60_000;
/** What an engine that is just starting gets when it is not wanted any more. */
const startTimeoutMs = 20_000;

const nothing: EngineStats = {
  ...{ runningRequests: 0, waitingRequests: 0, parkedRequests: 0, waitingTokens: 0 },
  ...{ kvCacheUsage: 0, kvBytes: 0, weightBytes: 0, prefixCacheBytes: 0, grammarCacheBytes: 0 },
  restarts: 0,
};

/**
 * An engine that comes back: when its worker has failed, another is started with the same options and the router
 * that was in use. Meanwhile requests are refused with EngineRestartingError. One that hangs cannot be replaced: native
 * code that runs in a thread cannot be ended. That, and too many failures in a row, is `failed`.
 */
export class SupervisedEngine implements Engine {
  readonly limits: EngineLimits;
  readonly failed: Promise<EngineStoppedError>;
  readonly #options: SupervisionOptions;
  readonly #supervision: Promise<void>;
  readonly #closed: Promise<null>;
  #tellFailed!: (error: EngineStoppedError) => void;
  #tellClosed!: (nothing: null) => void;
  /** Null while there is none. */
  #engine: Engine | null;
  /** Settles when there is one again, or will be none any more. */
  #returned: Promise<void> = Promise.resolve();
  /** No other one will come. */
  #end: EngineStoppedError | null = null;
  #observer: StepObserver | null = null;
  #routerPath: string | null = null;
  #restarts = 0;
  #failures = 0;
  #startedMs: number;

  /** @throws SeapError when the first start fails: that is not tried again. */
  static async start(options: SupervisionOptions): Promise<SupervisedEngine> {
    return new SupervisedEngine(await options.start(), options);
  }

  private constructor(engine: Engine, options: SupervisionOptions) {
    this.#options = options;
    this.limits = engine.limits;
    this.#engine = engine;
    this.#startedMs = options.nowMs();
    this.failed = new Promise((resolve) => (this.#tellFailed = resolve));
    this.#closed = new Promise((resolve) => (this.#tellClosed = resolve));
    this.#supervision = this.#supervise(engine);
  }

  get problem(): SeapError | null {
    if (this.#engine?.problem === null) return null;
    return this.#end ?? new EngineRestartingError();
  }

  stats(): EngineStats {
    return { ...(this.#engine?.stats() ?? nothing), restarts: this.#restarts };
  }

  observeSteps(observer: StepObserver): void {
    this.#observer = observer;
    this.#engine?.observeSteps(observer);
  }

  generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void> {
    const { problem } = this;
    if (problem !== null) return refused(problem);
    return this.#engine!.generate(request, signal);
  }

  /** Waits for an engine where there is none. */
  async useRouter(path: string): Promise<void> {
    for (;;) {
      await this.#returned;
      if (this.#end) throw this.#end;
      const engine = this.#engine!;
      try {
        await engine.useRouter(path);
        this.#routerPath = path;
        return;
      } catch (error) {
        if (engine.problem === null) throw error;
        // The next one gets it.
        await Promise.race([engine.failed, this.#closed]);
      }
    }
  }

  experts(): readonly ExpertSnapshot[] {
    return this.#engine?.experts() ?? [];
  }

  async commandExpert(name: string, command: ExpertCommand): Promise<ExpertSnapshot> {
    const { problem } = this;
    if (problem !== null) throw problem;
    return this.#engine!.commandExpert(name, command);
  }

  async close(): Promise<void> {
    this.#end ??= new EngineStoppedError("The engine was closed.");
    this.#tellClosed(null);
    const ended = Promise.all([this.#engine?.close(), this.#supervision]);
    let cancel = (): void => undefined;
    const timeout = new Promise<never>((_, reject) => {
      const hung = new EngineHungError("The engine's thread is still starting.");
      cancel = this.#options.setTimer(() => reject(hung), startTimeoutMs);
    });
    await Promise.race([ended, timeout]).finally(cancel);
  }

  async #supervise(first: Engine): Promise<void> {
    for (let engine: Engine | null = first; engine !== null;) {
      const error: EngineStoppedError | null = await Promise.race([engine.failed, this.#closed]);
      if (error === null) return;
      this.#engine = null;
      let tellReturned!: () => void;
      this.#returned = new Promise((resolve) => (tellReturned = resolve));
      engine = this.#engine = await this.#replace(engine, error);
      tellReturned();
    }
  }

  /** @returns null when there will be none any more */
  async #replace(engine: Engine, error: EngineStoppedError): Promise<Engine | null> {
    const { nowMs, log, maxRestarts } = this.#options;
    if (nowMs() - this.#startedMs >= healthyMs) this.#failures = 0;
    let problem: unknown = error;
    if (!(error instanceof EngineHungError)) {
      await engine.close().catch((failure: unknown) => (problem = failure));
    }
    while (!this.#end) {
      const failures = ++this.#failures;
      const isLast = problem instanceof EngineHungError || failures > maxRestarts;
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** (failures - 1));
      log.error("engine failed", {
        failuresInARow: failures,
        ...(!isLast && { restartInMs: delayMs }),
        error: stackOf(problem),
      });
      if (isLast) return this.#giveUp(problem);
      await this.#pause(delayMs);
      if (this.#end) break;
      const restarted = await this.#restart().catch((failure: unknown) => {
        problem = failure;
        return null;
      });
      if (restarted) return restarted;
    }
    return null;
  }

  #giveUp(problem: unknown): null {
    const error =
      problem instanceof EngineStoppedError
        ? problem
        : new EngineStoppedError("The engine could not be started anew.", { cause: problem });
    this.#end = error;
    this.#tellFailed(error);
    return null;
  }

  /** Ends early when this is closed. */
  async #pause(delayMs: number): Promise<void> {
    let cancel = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      cancel = this.#options.setTimer(resolve, delayMs);
    });
    await Promise.race([over, this.#closed]).finally(cancel);
  }

  /** @returns null when this was closed meanwhile */
  async #restart(): Promise<Engine | null> {
    const { start, nowMs, log } = this.#options;
    this.#restarts++;
    const startedMs = nowMs();
    const engine = await start();
    if (this.#observer) engine.observeSteps(this.#observer);
    if (this.#routerPath !== null) await this.#reuseRouter(engine, this.#routerPath);
    if (this.#end) {
      await engine.close();
      return null;
    }
    this.#startedMs = nowMs();
    const seconds = Number(((this.#startedMs - startedMs) / 1000).toFixed(1));
    log.info("engine restarted", { seconds, restarts: this.#restarts });
    return engine;
  }

  async #reuseRouter(engine: Engine, path: string): Promise<void> {
    try {
      await engine.useRouter(path);
    } catch (error) {
      if (engine.problem !== null) throw error;
      this.#options.log.error("prompts are not routed any more", { error: stackOf(error) });
    }
  }
}

/** Throws when it is first asked for an event, as an engine does. */
async function* refused(error: SeapError): AsyncGenerator<GenerateEvent, void, void> {
  yield* [];
  await Promise.reject(error);
}
