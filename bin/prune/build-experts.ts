import { join } from "node:path";
import { findExpert } from "../../prune/experts/build-expert.ts";
import { outcomeKey, readOutcome, writeOutcome } from "../../prune/experts/build-outcome.ts";
import type { BuildOutcome } from "../../prune/experts/build-outcome.ts";
import { ConfigError } from "../../server/base/config-error.ts";
import type { CommandIo } from "../command-line.ts";
import { withFileLock } from "../../model/files/file-lock.ts";
import { buildRequest, hashCorpora } from "./build-request.ts";
import { buildTask } from "./build-task.ts";
import { formatBudget, formatReport } from "./format-report.ts";
import { jsonText } from "./output.ts";
import { checkMethod } from "./prune-options.ts";
import type { BuildFlags } from "./prune-options.ts";
import { corpusPaths, withTaskRun } from "./task-run.ts";
import type { TaskRun } from "./task-run.ts";

/** What became of one task. */
export interface TaskOutcome extends BuildOutcome {
  readonly task: string;
  /** Of the whole build, calibration included. Null when it was built before. */
  readonly seconds: number | null;
}

/** `seap prune build` @throws ConfigError, another SeapError, and the signal's reason */
export async function buildExperts(
  options: BuildFlags & { readonly json: boolean },
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
    const finished: TaskOutcome[] = [];
    for (const task of run.tasks) {
      const result = await buildOnce(task, options, run, signal);
      finished.push(result);
      run.progress.end();
      if (!json) io.stdout(formatResult(result, maxLossIncrease));
    }
    return finished;
  });
  if (json) io.stdout(jsonText(results));
}

/** What was built before, by whomever, is not built again; one process builds while others wait for it. */
async function buildOnce(
  task: string,
  options: BuildFlags,
  run: TaskRun,
  signal: AbortSignal,
): Promise<TaskOutcome> {
  const { session, progress } = run;
  const { store, weights } = session;
  const corpora = hashCorpora(corpusPaths(run.tasks, options.corpus));
  const key = outcomeKey(buildRequest(task, { ...options, model: weights.contentHash, corpora }));
  const log = (line: string): void => progress.line(line);
  const known = async (): Promise<BuildOutcome | null> => {
    const outcome = await readOutcome(store, key);
    if (outcome === null || outcome.report === null) return outcome;
    return (await findExpert(store, outcome.report.expert, log)) && outcome;
  };
  const found = await known();
  if (found !== null) return { task, ...found, seconds: null };
  const lock = {
    // What is forgotten there is swept away.
    path: join(store.dir, "tmp", `${key}.lock`),
    signal,
    onWait: (owner: string) => log(`${task}: ${owner} builds it already, waiting`),
  };
  return withFileLock(lock, async () => {
    const finished = await known();
    if (finished !== null) return { task, ...finished, seconds: null };
    const startedAt = performance.now();
    const outcome = await buildTask(task, options, run, signal);
    await writeOutcome(store, key, outcome);
    return { task, ...outcome, seconds: (performance.now() - startedAt) / 1000 };
  });
}

function formatResult(
  { task, report, trials }: TaskOutcome,
  maxLossIncrease: number | undefined,
): string {
  const budget =
    trials && maxLossIncrease !== undefined ? formatBudget(task, trials, maxLossIncrease) : "";
  return `${budget}${report ? formatReport(report) : ""}`;
}
