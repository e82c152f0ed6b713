import { buildExpert } from "../../prune/build-expert.ts";
import type { BuildExpertOptions } from "../../prune/build-expert.ts";
import { reportKey, reportOn } from "../../prune/expert-report.ts";
import type { ExpertReport } from "../../prune/expert-report.ts";
import { HeldOutJudge } from "../../prune/held-out-judge.ts";
import { chooseSparsity } from "../../prune/quality-budget.ts";
import type { BudgetTrial } from "../../prune/quality-budget.ts";
import { ConfigError } from "../../server/config-error.ts";
import type { CommandIo } from "../command-line.ts";
import { formatBudget, formatReport } from "./format-report.ts";
import { jsonText } from "./output.ts";
import { checkMethod } from "./prune-options.ts";
import type { BuildOptions } from "./prune-options.ts";
import { withTaskRun } from "./task-run.ts";
import type { TaskRun } from "./task-run.ts";

/** What became of one task. */
interface TaskResult {
  readonly task: string;
  /** Null when no sparsity is within the budget: the dense model stays. */
  readonly report: ExpertReport | null;
  /** Null without a budget. */
  readonly trials: readonly BudgetTrial[] | null;
}

/** `seap prune build` @throws ConfigError, another SeapError, and the signal's reason */
export async function buildExperts(
  options: BuildOptions & { readonly json: boolean },
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const { sparsity, maxLossIncrease, json } = options;
  checkMethod(options);
  if ((sparsity === undefined) === (maxLossIncrease === undefined)) {
    throw new ConfigError(
      "Expected one of --sparsity and --max-loss-increase. See seap prune build --help.",
    );
  }
  const results = await withTaskRun(options, io, signal, async (run) => {
    const finished: TaskResult[] = [];
    for (const task of run.tasks) {
      const result = await buildTask(task, options, run, signal);
      finished.push(result);
      run.bar.end();
      if (!json) io.stdout(formatResult(result, maxLossIncrease));
    }
    return finished;
  });
  if (json) io.stdout(jsonText(results));
}

async function buildTask(
  task: string,
  options: BuildOptions,
  { session, profiles, bar }: TaskRun,
  signal: AbortSignal,
): Promise<TaskResult> {
  const { weights, store } = session;
  const { method, weights: format, threads: numThreads, maxLossIncrease } = options;
  const judge = new HeldOutJudge(weights, await profiles.heldOut(task), {
    format,
    numThreads,
    signal,
    onProgress: (done, total) => bar.report(`${task}: judging`, done, total),
  });
  /** Experts that were not there before, by target. */
  const built = new Map<number, string>();
  const build = async (target: number): Promise<ExpertReport> => {
    const buildOptions: BuildExpertOptions = {
      task,
      method,
      target,
      format,
      signal,
      log: (line) => bar.line(line),
      onProgress: (done, total) =>
        bar.report(`${task}: building at sparsity ${target}`, done, total),
    };
    const { artifact, buildSeconds } = await buildExpert(weights, profiles, store, buildOptions);
    if (buildSeconds !== null) built.set(target, artifact.key);
    return reportOn(store, artifact, judge, { calibrationTokens: options.tokens, buildSeconds });
  };
  try {
    if (maxLossIncrease === undefined) {
      return { task, report: await build(options.sparsity!), trials: null };
    }
    const reports = new Map<number, ExpertReport>();
    const { sparsity, trials } = await chooseSparsity(maxLossIncrease, async (target) => {
      const report = await build(target);
      reports.set(target, report);
      return report.heldOut.lossIncrease;
    });
    for (const [target, key] of built) {
      if (target === sparsity) continue;
      await store.remove(key);
      await store.remove(reportKey(key));
    }
    return { task, report: sparsity === null ? null : reports.get(sparsity)!, trials };
  } finally {
    await judge.release();
  }
}

function formatResult(
  { task, report, trials }: TaskResult,
  maxLossIncrease: number | undefined,
): string {
  const budget =
    trials && maxLossIncrease !== undefined ? formatBudget(task, trials, maxLossIncrease) : "";
  return `${budget}${report ? formatReport(report) : ""}`;
}
