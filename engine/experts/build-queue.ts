import type { BuiltExpert, ExpertBuilder } from "../contract/experts.ts";
import { messageOf } from "../contract/request-failure.ts";
import type { ExpertEntry } from "./expert-entry.ts";

export interface BuildQueueOptions {
  readonly builder: ExpertBuilder;
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
  readonly log: (line: string) => void;
  /** Something that a snapshot shows is new. */
  readonly onChange: () => void;
  /** An expert that was planned is on disk. */
  readonly onBuilt: (entry: ExpertEntry, built: BuiltExpert) => void;
}

/** Owns what is to be built: in order of the first request, one at a time. */
export class BuildQueue {
  readonly #options: BuildQueueOptions;
  /** What was looked for on disk: nothing is built before. */
  readonly #sought = new Set<ExpertEntry>();
  /** In order of the first request. */
  readonly #planned: ExpertEntry[] = [];
  /** Planned ones that are built after all others. */
  readonly #last = new Set<ExpertEntry>();
  readonly #abort = new AbortController();
  #building: Promise<void> | null = null;

  constructor(options: BuildQueueOptions) {
    this.#options = options;
  }

  /** Looks for each on disk, in this order. */
  async find(entries: Iterable<ExpertEntry>): Promise<void> {
    for (const entry of entries) {
      const built = await this.#find(entry.name);
      if (this.#abort.signal.aborted) return;
      this.#sought.add(entry);
      if (built !== null) this.#found(entry, built);
      this.#options.onChange();
      this.#pump();
    }
  }

  /** @param isLast it is built when nothing else is planned */
  plan(entry: ExpertEntry, { isLast = false } = {}): void {
    if (!isLast) this.#last.delete(entry);
    if (!this.#planned.includes(entry)) {
      this.#planned.push(entry);
      if (isLast) this.#last.add(entry);
      entry.plan();
    }
    this.#pump();
  }

  /** Stops the build that is on and begins no other. */
  async close(): Promise<void> {
    this.#planned.length = 0;
    this.#abort.abort(new Error("The server is stopping."));
    await this.#building;
  }

  async #find(name: string): Promise<BuiltExpert | null> {
    try {
      return await this.#options.builder.find(name);
    } catch (error) {
      this.#options.log(`Expert ${name} was not found on disk: ${messageOf(error)}`);
      return null;
    }
  }

  #found(entry: ExpertEntry, built: BuiltExpert): void {
    const index = this.#planned.indexOf(entry);
    if (index < 0) return entry.store(built);
    this.#planned.splice(index, 1);
    this.#options.onBuilt(entry, built);
  }

  #pump(): void {
    if (this.#building !== null || this.#abort.signal.aborted) return;
    const sought = this.#planned.filter((entry) => this.#sought.has(entry));
    const next = sought.find((entry) => !this.#last.has(entry)) ?? sought[0];
    if (next === undefined) return;
    this.#planned.splice(this.#planned.indexOf(next), 1);
    this.#building = this.#build(next).finally(() => {
      this.#building = null;
      this.#options.onChange();
      this.#pump();
    });
  }

  async #build(entry: ExpertEntry): Promise<void> {
    const { builder, nowMs, log, onChange, onBuilt } = this.#options;
    const { signal } = this.#abort;
    const startedAtMs = nowMs();
    entry.startBuild();
    log(`Expert ${entry.name} is being built.`);
    onChange();
    let built: BuiltExpert | null;
    try {
      built = await builder.build(entry.name, {
        signal,
        onProgress: (progress) => {
          // A late word of a build that has ended.
          if (entry.state.kind !== "building") return;
          entry.showProgress(progress);
          onChange();
        },
      });
    } catch (error) {
      if (signal.aborted) return entry.stopBuild();
      entry.failBuild(messageOf(error), nowMs());
      return log(`Expert ${entry.name} was not built: ${messageOf(error)}`);
    }
    if (signal.aborted) return entry.stopBuild();
    if (built === null) {
      entry.exceedBudget("No sparsity keeps the quality that was asked for.");
      return log(`Expert ${entry.name} was not built: no sparsity keeps the quality asked for.`);
    }
    log(`Expert ${entry.name} was built in ${Math.round((nowMs() - startedAtMs) / 1000)} s.`);
    onBuilt(entry, built);
  }
}
