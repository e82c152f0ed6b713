import { z } from "zod";
import { ExpertBuildError } from "../engine/contract/errors.ts";
import { generalExpert } from "../engine/contract/experts.ts";
import type {
  BuildOptions,
  BuildProgress,
  BuiltExpert,
  ExpertBuilder,
} from "../engine/contract/experts.ts";
import type { ArtifactStore } from "../model/experts/artifact-store.ts";
import { outcomeKey, readOutcome } from "../prune/experts/build-outcome.ts";
import { builtinTasks } from "../prune/tasks/builtin-tasks.ts";
import { reportSchema } from "../prune/experts/expert-report.ts";
import type { ExpertReport } from "../prune/experts/expert-report.ts";
import { defaultMethod } from "../prune/choice/recipe.ts";
import type { Method } from "../prune/choice/recipe.ts";
import type {
  ExpertBudget,
  ExpertBuilderOptions,
  ExpertSource,
} from "../server/experts/expert-source.ts";
import { runChildCommand } from "./child-command.ts";
import type { ProgressLine } from "./json-progress.ts";
import { artifactStore, cacheFolder } from "./model-session.ts";
import { buildRequest, hashCorpora } from "./prune/build-request.ts";
import { corpusPaths } from "./prune/task-run.ts";

/** Experts of the built-in tasks. */
export const builtinExperts: ExpertSource = {
  tasks: builtinTasks.map(({ name }) => name).sort(),
  createBuilder: (options) => new CommandBuilder(options),
};

/** What `seap prune build --json` prints of one task. */
const outputSchema = z.tuple([
  z.object({ report: reportSchema.nullable(), seconds: z.number().nullable() }),
]);

/**
 * Lets `seap prune build` make experts, on one thread of a process of its own. What was made before by it or by a person
 * with the same settings is found, and several servers may share the cache folder.
 */
class CommandBuilder implements ExpertBuilder {
  readonly #options: ExpertBuilderOptions;
  readonly #store: ArtifactStore;
  #corpora: string | null = null;

  constructor(options: ExpertBuilderOptions) {
    this.#options = options;
    this.#store = artifactStore(cacheFolder(options.cacheDir, process.env));
  }

  async find(task: string): Promise<BuiltExpert | null> {
    const report = (await this.#outcomeOf(task))?.report;
    // Its bytes are checked when it is loaded.
    return report && this.#store.has(report.expert) ? this.#built(report, null) : null;
  }

  async build(task: string, options: BuildOptions): Promise<BuiltExpert | null> {
    const { signal, onProgress } = options;
    signal.throwIfAborted();
    const outcome = await this.#outcomeOf(task);
    // That nothing is within the budget would only be found out again.
    if (outcome?.report === null) return null;
    try {
      const stdout = await runChildCommand(this.#command(task), {
        signal,
        onLine: (line) => this.#read(line, onProgress),
      });
      const [{ report, seconds }] = outputSchema.parse(JSON.parse(stdout));
      return report && this.#built(report, seconds);
    } catch (cause) {
      signal.throwIfAborted();
      const problem = cause instanceof Error ? cause.message : String(cause);
      throw new ExpertBuildError(`seap prune build failed: ${problem}`, { cause });
    }
  }

  async #outcomeOf(task: string) {
    const { weights, contentHash: model, settings } = this.#options;
    const corpora = (this.#corpora ??= hashCorpora(corpusPaths([])));
    const request = buildRequest(task, {
      ...this.#budgetOf(task),
      method: methodOf(task),
      weights,
      tokens: settings.tokens,
      model,
      corpora,
    });
    return readOutcome(this.#store, outcomeKey(request));
  }

  #command(task: string): string[] {
    const { modelPath, weights, cacheDir, settings } = this.#options;
    const { sparsity, maxLossIncrease } = this.#budgetOf(task);
    const flags = {
      task,
      method: methodOf(task),
      model: modelPath,
      weights,
      tokens: settings.tokens,
      sparsity,
      "max-loss-increase": maxLossIncrease,
      threads: 1,
      "cache-dir": cacheDir,
      progress: "json",
    };
    const args = Object.entries(flags).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, String(value)],
    );
    return ["prune", "build", "--json", ...args];
  }

  #budgetOf(task: string): Partial<Record<"sparsity" | "maxLossIncrease", number>> {
    const { tasks } = this.#options.settings;
    const budget: ExpertBudget | undefined = tasks[task];
    if (budget === undefined) {
      const known = Object.keys(tasks).join(", ");
      throw new ExpertBuildError(`No expert of ${task} is to be built, only of ${known}.`);
    }
    return budget;
  }

  /** A line of the command's progress; others are errors, of which the last is told in the end. */
  #read(line: string, onProgress: (progress: BuildProgress) => void): void {
    if (!line.startsWith("{")) return;
    const progress = JSON.parse(line) as ProgressLine;
    if ("line" in progress) this.#options.log(progress.line);
    else onProgress(progress);
  }

  #built({ expert, bytes, sparsity, heldOut }: ExpertReport, seconds: number | null): BuiltExpert {
    return {
      key: expert,
      storeDir: this.#store.dir,
      sizeBytes: bytes.expert,
      sparsity: sparsity.middle,
      lossIncrease: Math.expm1(heldOut.lossIncrease.value),
      buildSeconds: seconds,
    };
  }
}

function methodOf(task: string): Method {
  return task === generalExpert ? "best-general" : defaultMethod;
}
