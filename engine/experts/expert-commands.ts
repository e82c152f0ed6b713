import { ExpertCommandError } from "../contract/errors.ts";
import type { ExpertEntry } from "./expert-entry.ts";
import type { ExpertMemory } from "./expert-memory.ts";

export interface ExpertCommandsOptions {
  readonly memory: ExpertMemory;
  readonly plan: (entry: ExpertEntry) => void;
  /** Has what is missing built and loaded, in place of busier ones. */
  readonly ask: (entry: ExpertEntry) => void;
}

/** Does what a person wants done with an expert. */
export class ExpertCommands {
  readonly #options: ExpertCommandsOptions;

  constructor(options: ExpertCommandsOptions) {
    this.#options = options;
  }

  /** Makes what is missing, and lifts what was held against it. */
  build(entry: ExpertEntry): void {
    entry.lift();
    if (entry.state.kind === "absent" || entry.state.kind === "planned") this.#options.plan(entry);
  }

  /**
   * Has it built too where needed, but does not wait for that.
   * @throws ExpertCommandError where it is not to be loaded, or is not
   */
  async load(entry: ExpertEntry): Promise<void> {
    if (entry.intent.kind === "suspend" || entry.state.kind === "over-budget") {
      throw new ExpertCommandError(
        `Expert ${entry.name} is ${entry.shownState}: the command build lifts that.`,
      );
    }
    entry.lift();
    entry.want();
    this.#options.memory.keep(entry);
    if (entry.state.kind === "draining") await entry.whenSettled();
    this.#options.ask(entry);
    if (entry.state.kind === "loading") await entry.whenSettled();
    const { state } = entry;
    if (state.kind === "stored" || state.kind === "failed") {
      const why = state.problem ?? "It was sent away again.";
      throw new ExpertCommandError(`Expert ${entry.name} was not loaded. ${why}`);
    }
  }

  /** Waits only where no sequence runs on it. */
  async evict(entry: ExpertEntry): Promise<void> {
    entry.forgo();
    this.#options.memory.evict(entry, "command");
    const isLeaving = entry.state.kind === "draining" && entry.counts.running === 0;
    if (isLeaving) await entry.whenSettled();
  }
}
