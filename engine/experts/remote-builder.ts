import type { FromBuilder, ToBuilder } from "../contract/builder-messages.ts";
import { EngineStoppedError, ExpertBuildError } from "../contract/errors.ts";
import type {
  BuildOptions,
  BuildProgress,
  BuiltExpert,
  ExpertBuilder,
} from "../contract/experts.ts";

interface Pending {
  readonly resolve: (built: BuiltExpert | null) => void;
  readonly reject: (error: unknown) => void;
  readonly onProgress: (progress: BuildProgress) => void;
}

/** A builder in another thread, as the engine's thread sees it. */
export class RemoteBuilder implements ExpertBuilder {
  readonly #send: (message: ToBuilder) => void;
  readonly #pending = new Map<number, Pending>();
  #numAsked = 0;
  #isClosed = false;

  constructor(send: (message: ToBuilder) => void) {
    this.#send = send;
  }

  /** Nothing, once this is closed. @throws ExpertBuildError */
  async find(task: string): Promise<BuiltExpert | null> {
    try {
      return await this.#ask("find_expert", task, () => undefined).answer;
    } catch (error) {
      if (this.#isClosed) return null;
      throw error;
    }
  }

  /** Stops waiting as soon as the signal aborts. @throws ExpertBuildError, and the signal's reason */
  async build(task: string, options: BuildOptions): Promise<BuiltExpert | null> {
    const { signal, onProgress } = options;
    signal.throwIfAborted();
    const { id, answer } = this.#ask("build_expert", task, onProgress);
    const onAbort = () => {
      this.#send({ type: "stop_build", id });
      this.#take(id)?.reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await answer;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Nobody will answer any more. */
  close(): void {
    this.#isClosed = true;
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(closed());
  }

  /** Answers that nobody waits for any more are ignored. */
  receive(message: FromBuilder): void {
    const { id } = message;
    if (message.type === "build_progress") this.#pending.get(id)?.onProgress(message.progress);
    else if (message.type === "builder_done") this.#take(id)?.resolve(message.built);
    else this.#take(id)?.reject(new ExpertBuildError(message.message));
  }

  #ask(
    type: "find_expert" | "build_expert",
    task: string,
    onProgress: (progress: BuildProgress) => void,
  ) {
    const id = this.#numAsked++;
    if (this.#isClosed) return { id, answer: Promise.reject<BuiltExpert | null>(closed()) };
    const answer = new Promise<BuiltExpert | null>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onProgress });
    });
    this.#send({ type, id, task });
    return { id, answer };
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}

function closed(): EngineStoppedError {
  return new EngineStoppedError("The engine was closed.");
}
