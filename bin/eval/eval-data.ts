import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { CorpusRow } from "../../prune/tasks/corpus.ts";
import { EvaluationError } from "../../prune/tasks/errors.ts";
import {
  expertTaskOf,
  readTaskCorpus,
  readTasks,
  scoredTaskNames,
} from "../../prune/evaluation/read-tasks.ts";
import type { TaskRows } from "../../prune/evaluation/read-tasks.ts";
import { isGeneralMethod } from "../../prune/choice/recipe.ts";
import type { EvalOptions } from "./eval-options.ts";

/**
 * Rows to measure; a task whose file is not there is left out with a line for people.
 * @throws EvaluationError when there is no folder or no row.
 */
export function readEvaluated(
  { data, tasks: names, rows }: EvalOptions,
  log: (line: string) => void,
): TaskRows[] {
  if (!statSync(data, { throwIfNoEntry: false })?.isDirectory()) {
    throw new EvaluationError(
      `There is no folder ${resolve(data)}; expected one with the rows of the tasks, ` +
        "<task>.eval.jsonl to measure and <task>.calib.jsonl to calibrate with. " +
        "Name another with --data.",
    );
  }
  const tasks = readTasks(names, { dataDir: data, maxRows: rows }, log);
  if (tasks.length > 0) return tasks;
  throw new EvaluationError(`${resolve(data)} has the rows of none of ${names.join(", ")}.`);
}

/**
 * Rows to calibrate with, of all tasks that have some: a middle for all is made from all, whatever is measured.
 * @throws EvaluationError when a task that is measured needs some and has none.
 */
export function readCorpora(
  { data, methods }: EvalOptions,
  tasks: readonly TaskRows[],
): ReadonlyMap<string, () => readonly CorpusRow[]> {
  const corpora = new Map<string, () => readonly CorpusRow[]>();
  for (const name of scoredTaskNames) {
    const rows = readTaskCorpus(name, data);
    if (rows !== null) corpora.set(name, () => rows);
  }
  const needsOwn = methods.some((method) => !isGeneralMethod(method));
  const missing = tasks.find(({ name }) => !corpora.has(expertTaskOf(name)));
  if (needsOwn && missing) {
    throw new EvaluationError(
      `Task ${missing.name} has no rows to calibrate its experts with: expected ` +
        `${expertTaskOf(missing.name)}.calib.jsonl in ${resolve(data)}.`,
    );
  }
  if (methods.length > 0 && corpora.size === 0) {
    throw new EvaluationError(`${resolve(data)} has no rows to calibrate with.`);
  }
  return corpora;
}
