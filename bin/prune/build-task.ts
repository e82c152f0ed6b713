import { readExpert } from "../../model/experts/expert-artifact.ts";
import { findExpert, writeExpert } from "../../prune/experts/build-expert.ts";
import type { BuildOutcome } from "../../prune/experts/build-outcome.ts";
import { ExpertMaker } from "../../prune/experts/expert-maker.ts";
import type { MadeExpert } from "../../prune/experts/expert-maker.ts";
import { knownReport, reportOn } from "../../prune/experts/expert-report.ts";
import type { ExpertReport, JudgedExpert } from "../../prune/experts/expert-report.ts";
import { HeldOutJudge } from "../../prune/experts/held-out-judge.ts";
import { chooseSparsity } from "../../prune/experts/quality-budget.ts";
import type { BuildFlags } from "./prune-options.ts";
import type { TaskRun } from "./task-run.ts";

/** Builds the expert of a task that was asked for. @throws SeapError, and the signal's reason */
export async function buildTask(
  task: string,
  options: BuildFlags,
  run: TaskRun,
  signal: AbortSignal,
): Promise<BuildOutcome> {
  const { session, profiles, progress } = run;
  const { weights, store } = session;
  const { method, weights: format, threads: numThreads, sparsity, maxLossIncrease } = options;
  const judge = new HeldOutJudge(weights, await profiles.heldOut(task), {
    format,
    numThreads,
    signal,
    onProgress: (reader, done, total) =>
      progress.report(`${task}: judging${reader === "dense" ? " dense" : ""}`, done, total),
  });
  try {
    const log = (line: string): void => progress.line(line);
    const maker = await ExpertMaker.open(weights, profiles, store, {
      task,
      method,
      format,
      signal,
      log,
    });
    const build = new TaskBuild(task, options, run, { maker, judge });
    if (maxLossIncrease === undefined) {
      return { report: await build.at(sparsity!), trials: null };
    }
    return await build.within(maxLossIncrease);
  } finally {
    await judge.release();
  }
}

class TaskBuild {
  readonly #task: string;
  readonly #options: BuildFlags;
  readonly #run: TaskRun;
  readonly #maker: ExpertMaker;
  readonly #judge: HeldOutJudge;

  constructor(
    task: string,
    options: BuildFlags,
    run: TaskRun,
    parts: { readonly maker: ExpertMaker; readonly judge: HeldOutJudge },
  ) {
    this.#task = task;
    this.#options = options;
    this.#run = run;
    this.#maker = parts.maker;
    this.#judge = parts.judge;
  }

  async at(target: number): Promise<ExpertReport> {
    const { store } = this.#run.session;
    const key = this.#maker.keyOf(target);
    const present = await this.#find(key);
    if (present !== null) {
      const known = await knownReport(store, key, this.#judge);
      return known ?? this.#report({ key, ...readExpert(present) }, null);
    }
    const expert = await this.#make(target);
    await writeExpert(store, key, expert);
    return this.#report({ key, ...expert }, expert.buildSeconds);
  }

  /** Only the expert that is chosen is written; the reports on all of them are kept. */
  async within(maxLossIncrease: number): Promise<BuildOutcome> {
    const { store } = this.#run.session;
    const made = new Map<number, MadeExpert>();
    const reports = new Map<number, ExpertReport>();
    const { sparsity, trials } = await chooseSparsity(maxLossIncrease, async (target) => {
      const key = this.#maker.keyOf(target);
      let report = await knownReport(store, key, this.#judge);
      if (report === null) {
        const expert = await this.#make(target);
        report = await this.#report({ key, ...expert }, expert.buildSeconds);
        // One at a time is in memory. The last that is within the budget is the one that is chosen.
        if (Math.log1p(maxLossIncrease) >= report.heldOut.lossIncrease.high) {
          made.clear();
          made.set(target, expert);
        }
      }
      reports.set(target, report);
      return report.heldOut.lossIncrease;
    });
    if (sparsity === null) return { report: null, trials: [...trials] };
    const key = this.#maker.keyOf(sparsity);
    if ((await this.#find(key)) === null) {
      await writeExpert(store, key, made.get(sparsity) ?? (await this.#make(sparsity)));
    }
    return { report: reports.get(sparsity)!, trials: [...trials] };
  }

  #find(key: string) {
    return findExpert(this.#run.session.store, key, (line) => this.#run.progress.line(line));
  }

  async #make(target: number): Promise<MadeExpert> {
    const { progress } = this.#run;
    await this.#maker.thin((done, total) =>
      progress.report(`${this.#task}: ranking heads and channels`, done, total),
    );
    return this.#maker.make(target, (done, total) =>
      progress.report(`${this.#task}: building at sparsity ${target}`, done, total),
    );
  }

  #report(expert: JudgedExpert, buildSeconds: number | null): Promise<ExpertReport> {
    const calibrationTokens = this.#options.tokens;
    const { store } = this.#run.session;
    return reportOn(store, expert, this.#judge, { calibrationTokens, buildSeconds });
  }
}
