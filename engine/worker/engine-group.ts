import type { SeapError } from "../../model/errors.ts";
import type { EngineStoppedError } from "../contract/errors.ts";
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
import { checkRoom } from "./admission.ts";
import { mergeExperts, mergeSnapshots } from "./merge-experts.ts";
import { Placement, type PlacementOptions } from "./placement.ts";

export interface EngineGroupOptions extends PlacementOptions {
  /** Starts each of the engines, which take any number of waiting requests. @throws SeapError */
  readonly starts: readonly (() => Promise<Engine>)[];
  /** Of all engines together. */
  readonly maxWaitingRequests: number;
  readonly maxWaitingTokens: number;
}

/**
 * Several engines of the same model as one. Each request goes to one of them, and what becomes of that one becomes of the
 * request. The group takes requests as long as one engine does, and has failed as soon as one will not come back: it is
 * started anew as a whole rather than lived on with less.
 */
export class EngineGroup implements Engine {
  readonly limits: EngineLimits;
  readonly failed: Promise<EngineStoppedError>;
  readonly #engines: readonly Engine[];
  readonly #placement: Placement;
  readonly #options: EngineGroupOptions;

  /**
   * Starts one after the other: the first writes the prepared weights that the others read, and what loading takes for a
   * moment is taken once.
   * @throws SeapError when one cannot be started; none is left then.
   */
  static async start(options: EngineGroupOptions): Promise<EngineGroup> {
    const engines: Engine[] = [];
    try {
      for (const start of options.starts) engines.push(await start());
    } catch (error) {
      await closeAll(engines);
      throw error;
    }
    return new EngineGroup(engines, options);
  }

  private constructor(engines: readonly Engine[], options: EngineGroupOptions) {
    this.#engines = engines;
    this.#options = options;
    this.#placement = new Placement(engines, options);
    const maxBatch = engines.reduce((sum, { limits }) => sum + limits.maxBatch, 0);
    const { maxWaitingRequests } = options;
    this.limits = { ...engines[0]!.limits, maxBatch, maxWaitingRequests };
    this.failed = Promise.race(engines.map(({ failed }) => failed));
  }

  get problem(): SeapError | null {
    const problems = this.#engines.map(({ problem }) => problem);
    return problems.includes(null) ? null : problems[0]!;
  }

  get enginesUp(): number {
    return this.#engines.reduce((sum, { enginesUp }) => sum + enginesUp, 0);
  }

  stats(): EngineStats {
    const all = this.#engines.map((engine) => engine.stats());
    const sum = (key: keyof EngineStats) => all.reduce((total, stats) => total + stats[key], 0);
    return {
      runningRequests: sum("runningRequests"),
      waitingRequests: sum("waitingRequests"),
      parkedRequests: sum("parkedRequests"),
      waitingTokens: sum("waitingTokens"),
      // All have the same budget.
      kvCacheUsage: sum("kvCacheUsage") / all.length,
      kvBytes: sum("kvBytes"),
      weightBytes: sum("weightBytes"),
      prefixCacheBytes: sum("prefixCacheBytes"),
      grammarCacheBytes: sum("grammarCacheBytes"),
      restarts: sum("restarts"),
    };
  }

  observeSteps(observer: StepObserver): void {
    for (const engine of this.#engines) engine.observeSteps(observer);
  }

  async *generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void> {
    const { problem } = this;
    if (problem !== null) throw problem;
    this.#admit(request);
    const place = this.#placement.take(request);
    try {
      for await (const event of place.engine.generate(request, signal)) {
        if (event.type === "delta") place.prefilled();
        yield event;
      }
    } finally {
      place.leave();
    }
  }

  async useRouter(path: string): Promise<void> {
    await Promise.all(this.#engines.map((engine) => engine.useRouter(path)));
  }

  experts(): readonly ExpertSnapshot[] {
    return mergeExperts(this.#engines.map((engine) => engine.experts()));
  }

  /** All engines get the command; it has failed where it has in each of them. */
  async commandExpert(name: string, command: ExpertCommand): Promise<ExpertSnapshot> {
    const results = await Promise.allSettled(
      this.#engines.map((engine) => engine.commandExpert(name, command)),
    );
    const done = results.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    if (done.length > 0) return mergeSnapshots(done);
    throw reasonsOf(results)[0]!;
  }

  async close(): Promise<void> {
    const [reason] = reasonsOf(await closeAll(this.#engines));
    if (reason !== undefined) throw reason;
  }

  #admit(request: GenerateRequest): void {
    const { maxWaitingRequests, maxWaitingTokens } = this.#options;
    const up = this.#engines.filter(({ problem }) => problem === null);
    const maxBatch = up.reduce((sum, { limits }) => sum + limits.maxBatch, 0);
    checkRoom(request, this.stats(), { maxBatch, maxWaitingRequests, maxWaitingTokens });
  }
}

function closeAll(engines: readonly Engine[]): Promise<PromiseSettledResult<void>[]> {
  return Promise.allSettled(engines.map((engine) => engine.close()));
}

function reasonsOf(results: readonly PromiseSettledResult<unknown>[]): Error[] {
  return results.flatMap((each) => (each.status === "rejected" ? [each.reason as Error] : []));
}
