import type {
  BuildOptions,
  BuildProgress,
  BuiltExpert,
  ExpertBuilder,
} from "../contract/experts.ts";

type OnProgress = BuildOptions["onProgress"];

interface SharedBuild {
  readonly built: Promise<BuiltExpert | null>;
  readonly controller: AbortController;
  /** Of all who wait for it. */
  readonly listeners: Set<OnProgress>;
}

/** One builder for several engines: builds one expert at a time, and once for all that ask for it meanwhile. */
export class SharedBuilder implements ExpertBuilder {
  readonly #builder: ExpertBuilder;
  readonly #builds = new Map<string, SharedBuild>();
  /** Settles with the build that was asked for last. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(builder: ExpertBuilder) {
    this.#builder = builder;
  }

  find(task: string): Promise<BuiltExpert | null> {
    return this.#builder.find(task);
  }

  /** Ends when its signal aborts, and where nobody else waits, when the build has ended. */
  async build(task: string, { signal, onProgress }: BuildOptions): Promise<BuiltExpert | null> {
    signal.throwIfAborted();
    const build = this.#builds.get(task) ?? this.#begin(task);
    const { built, controller, listeners } = build;
    listeners.add(onProgress);
    const { promise: left, reject: leave } = promiseOfError();
    const onAbort = () => {
      listeners.delete(onProgress);
      if (listeners.size > 0) return leave(signal.reason);
      this.#forget(task, build);
      controller.abort(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([built, left]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #begin(task: string): SharedBuild {
    const controller = new AbortController();
    const { signal } = controller;
    const listeners = new Set<OnProgress>();
    const onProgress = (progress: BuildProgress) => {
      for (const listener of listeners) listener(progress);
    };
    const built = this.#last.then(() => {
      signal.throwIfAborted();
      return this.#builder.build(task, { signal, onProgress });
    });
    const build = { built: built.finally(() => this.#forget(task, build)), controller, listeners };
    this.#last = build.built.catch(() => undefined);
    this.#builds.set(task, build);
    return build;
  }

  /** Who asks from now on gets another build. */
  #forget(task: string, build: SharedBuild): void {
    if (this.#builds.get(task) === build) this.#builds.delete(task);
  }
}

function promiseOfError() {
  let reject!: (reason: unknown) => void;
  const promise = new Promise<never>((_, rejectIt) => (reject = rejectIt));
  return { promise, reject };
}
