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
import { EngineReplacer, type SupervisionOptions } from "./engine-replacer.ts";
import { settleWithin } from "./within-time.ts";

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
  readonly #replacer: EngineReplacer;

  /** @throws SeapError when the first start fails: that is not tried again. */
  static async start(options: SupervisionOptions): Promise<SupervisedEngine> {
    return new SupervisedEngine(await options.start(), options);
  }

  private constructor(engine: Engine, options: SupervisionOptions) {
    this.#options = options;
    this.limits = engine.limits;
    this.#engine = engine;
    this.failed = new Promise((resolve) => (this.#tellFailed = resolve));
    this.#closed = new Promise((resolve) => (this.#tellClosed = resolve));
    this.#replacer = new EngineReplacer({
      ...options,
      isClosed: () => this.#end !== null,
      closed: this.#closed,
      prepare: (next) => this.#prepare(next),
    });
    this.#supervision = this.#supervise(engine);
  }

  get problem(): SeapError | null {
    if (this.#engine?.problem === null) return null;
    return this.#end ?? new EngineRestartingError();
  }

  get enginesUp(): number {
    return this.problem === null ? 1 : 0;
  }

  stats(): EngineStats {
    return { ...(this.#engine?.stats() ?? nothing), restarts: this.#replacer.restarts };
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
    await settleWithin(ended, {
      timeoutMs: startTimeoutMs,
      setTimer: this.#options.setTimer,
      onTimeout: () => new EngineHungError("The engine's thread is still starting."),
    });
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
    const next = await this.#replacer.replace(engine, error);
    if (!(next instanceof EngineStoppedError)) return next;
    this.#end = next;
    this.#tellFailed(next);
    return null;
  }

  async #prepare(engine: Engine): Promise<void> {
    if (this.#observer) engine.observeSteps(this.#observer);
    if (this.#routerPath === null) return;
    try {
      await engine.useRouter(this.#routerPath);
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
