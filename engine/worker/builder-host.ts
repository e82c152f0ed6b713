import { messageOf } from "../contract/request-failure.ts";
import type { BuiltExpert, ExpertBuilder } from "../contract/experts.ts";
import type { FromBuilder, ToBuilder } from "../contract/builder-messages.ts";

/** Lets a builder work for a `RemoteBuilder` in another thread. */
export class BuilderHost {
  readonly #builder: ExpertBuilder;
  readonly #send: (message: FromBuilder) => void;
  readonly #builds = new Map<
    number,
    { readonly controller: AbortController; readonly end: Promise<void> }
  >();
  #isStopped = false;

  /** @param send to the other thread */
  constructor(builder: ExpertBuilder, send: (message: FromBuilder) => void) {
    this.#builder = builder;
    this.#send = send;
  }

  receive(message: ToBuilder): void {
    if (this.#isStopped) return;
    const { id } = message;
    if (message.type === "stop_build") this.#builds.get(id)?.controller.abort();
    else if (message.type === "find_expert")
      void this.#answer(id, this.#builder.find(message.task));
    else this.#build(id, message.task);
  }

  /** Ends what is being built, and settles when it has ended; nothing more is sent. May be called twice. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const builds = [...this.#builds.values()];
    for (const { controller } of builds) controller.abort();
    await Promise.all(builds.map(({ end }) => end));
  }

  #build(id: number, task: string): void {
    const controller = new AbortController();
    const built = this.#builder.build(task, {
      signal: controller.signal,
      onProgress: (progress) => this.#tell({ type: "build_progress", id, progress }),
    });
    const end = this.#answer(id, built).finally(() => this.#builds.delete(id));
    this.#builds.set(id, { controller, end });
  }

  async #answer(id: number, answer: Promise<BuiltExpert | null>): Promise<void> {
    try {
      this.#tell({ type: "builder_done", id, built: await answer });
    } catch (error) {
      this.#tell({ type: "builder_failed", id, message: messageOf(error) });
    }
  }

  #tell(message: FromBuilder): void {
    if (!this.#isStopped) this.#send(message);
  }
}
