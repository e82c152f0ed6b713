import type { BuildProgress, BuiltExpert, ExpertBuilder } from "../../engine/contract/experts.ts";
import type { Log } from "../base/log.ts";
import type { BuildEnding } from "../metrics/build-endings.ts";

/** Between two lines on a build that goes on. */
const progressLineMs = 15_000;

/** A builder whose builds are counted and can be followed in the log. */
export class ObservedBuilder implements ExpertBuilder {
  readonly #builder: ExpertBuilder;
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #numBuilds = new Map<BuildEnding, number>();

  /** @param nowMs steady clock */
  constructor(builder: ExpertBuilder, log: Log, nowMs: () => number) {
    this.#builder = builder;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Builds that have ended so. */
  numBuilds(outcome: BuildEnding): number {
    return this.#numBuilds.get(outcome) ?? 0;
  }

  find(task: string): Promise<BuiltExpert | null> {
    return this.#builder.find(task);
  }

  async build(
    task: string,
    { signal, onProgress }: Parameters<ExpertBuilder["build"]>[1],
  ): Promise<BuiltExpert | null> {
    const startedMs = this.#nowMs();
    let shownMs = startedMs;
    this.#log.info("building expert", { task });
    const onStep = (progress: BuildProgress) => {
      onProgress(progress);
      if (this.#nowMs() - shownMs < progressLineMs) return;
      shownMs = this.#nowMs();
      const percent = Math.floor(progress.share * 100);
      this.#log.info("building expert", { task, phase: progress.phase, percent });
    };
    try {
      const built = await this.#builder.build(task, { signal, onProgress: onStep });
      const seconds = Math.round((this.#nowMs() - startedMs) / 1000);
      this.#count(built === null ? "over_budget" : "built");
      if (built === null) this.#log.warn("no expert keeps the quality", { task, seconds });
      else {
        const { sparsity, lossIncrease } = built;
        this.#log.info("expert built", { task, sparsity, lossIncrease, seconds });
      }
      return built;
    } catch (error) {
      this.#count(signal.aborted ? "cancelled" : "failed");
      if (!signal.aborted) this.#log.warn("expert not built", { task, error: String(error) });
      throw error;
    }
  }

  #count(outcome: BuildEnding): void {
    this.#numBuilds.set(outcome, this.numBuilds(outcome) + 1);
  }
}
