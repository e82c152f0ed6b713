import { Piscina } from "piscina";
import { OverloadedError } from "../../engine/contract/errors.ts";
import { TaskLimitError } from "../base/task-limit-error.ts";

export interface BackgroundOptions {
  /** Module whose exports are the tasks by name, and `ready`, which does nothing. */
  readonly worker: URL;
  /** What the module finds as `Piscina.workerData`; asked for when the first thread starts. @default nothing */
  readonly workerData?: () => unknown;
  /** @default 1, for machines are small */
  readonly numThreads?: number;
  /** Tasks that may wait. @default 64 */
  readonly maxWaiting?: number;
  /** Of one task, from when it begins. @default 2000 */
  readonly budgetMs?: number;
}

/** What goes to another thread is cloned. */
type Task = (input: never) => unknown;

/** Heap of one thread. */
const maxHeapMiB = 512;

/**
 * Threads for work that a client describes and that could hold up the HTTP thread. They start with the first task, and
 * do not keep the process alive while they are idle. A task that takes too long ends its thread, and another starts.
 */
export class Background<Tasks extends { readonly [Name in keyof Tasks]: Task }> {
  readonly #options: Required<BackgroundOptions>;
  readonly #waiting: (() => void)[] = [];
  #pool: Piscina | null = null;
  #numRunning = 0;

  constructor(options: BackgroundOptions) {
    const defaults = { workerData: () => undefined, numThreads: 1, maxWaiting: 64, budgetMs: 2000 };
    this.#options = { ...defaults, ...options };
  }

  /**
   * @throws OverloadedError when too many tasks wait
   * @throws TaskLimitError when the task takes more time or memory than it may
   * @throws what the task throws, as a plain Error
   */
  async run<Name extends keyof Tasks & string>(
    name: Name,
    input: Parameters<Tasks[Name]>[0],
  ): Promise<Awaited<ReturnType<Tasks[Name]>>> {
    const { numThreads, maxWaiting } = this.#options;
    if (this.#numRunning < numThreads) this.#numRunning++;
    else {
      if (this.#waiting.length >= maxWaiting) throw new OverloadedError(maxWaiting, 1);
      await new Promise<void>((begin) => this.#waiting.push(begin));
    }
    try {
      return (await this.#runNow(name, input)) as Awaited<ReturnType<Tasks[Name]>>;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#numRunning--;
      else next();
    }
  }

  /** Ends the threads and what they are doing. May be called twice. */
  async close(): Promise<void> {
    await this.#pool?.destroy();
    this.#pool = null;
  }

  async #runNow(name: string, input: unknown): Promise<unknown> {
    const pool = (this.#pool ??= this.#start());
    // The time that a thread takes to start is not the task's.
    await pool.run(undefined, { name: "ready" });
    const { budgetMs } = this.#options;
    try {
      return await pool.run(input, { name, signal: AbortSignal.timeout(budgetMs) });
    } catch (error) {
      const code = (error as { readonly code?: unknown } | null)?.code;
      if ((error as Error).name === "AbortError") throw new TaskLimitError(`${budgetMs} ms`);
      if (code === "ERR_WORKER_OUT_OF_MEMORY") throw new TaskLimitError(`${maxHeapMiB} MiB`);
      throw error;
    }
  }

  #start(): Piscina {
    const { worker, workerData, numThreads } = this.#options;
    const pool = new Piscina({
      filename: worker.href,
      workerData: workerData(),
      minThreads: numThreads,
      maxThreads: numThreads,
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMiB },
    });
    // A thread that ends between two tasks is replaced; who waits for it is told by `run`.
    pool.on("error", () => undefined);
    return pool;
  }
}
