import { existsSync } from "node:fs";
import { join } from "node:path";
import type { CorpusRow } from "../tasks/corpus.ts";
import { choiceTasks } from "./choice-tasks.ts";
import type { ChoiceQuestion, ChoiceTask } from "./choice-tasks.ts";
import { EvaluationError } from "../tasks/errors.ts";
import { readMathProblems } from "./math-answers.ts";
import type { MathProblem } from "./math-answers.ts";
import type { RowsOptions } from "../tasks/task-rows.ts";
import { textTasks } from "../tasks/text-tasks.ts";
import type { TextTask } from "../tasks/text-tasks.ts";

/** Rows of a task, the same for all middles that are compared. */
export type TaskRows =
  | {
      readonly kind: "choice";
      readonly name: string;
      readonly metric: "acc" | "acc_norm";
      readonly questions: readonly ChoiceQuestion[];
    }
  | { readonly kind: "text"; readonly name: string; readonly texts: readonly CorpusRow[] }
  | {
      readonly kind: "generation";
      readonly name: string;
      readonly problems: readonly MathProblem[];
    };

/** Multiple choice and perplexity: what a whole evaluation measures. */
export const scoredTaskNames: readonly string[] = [...choiceTasks, ...textTasks].map(
  ({ name }) => name,
);

/** Answers are generated, which takes long. */
const mathTaskName = "gsm8k_generate";

export const taskNames: readonly string[] = [...scoredTaskNames, mathTaskName];

/** The task whose expert answers a task's questions: two tasks may ask the same ones. */
export function expertTaskOf(name: string): string {
  return name === mathTaskName ? "gsm8k" : name;
}

/**
 * Rows of tasks by name. Multiple choice and perplexity have different names.
 * @param onSkip called with a line for people for each task whose file is not there; it is left out
 * @throws EvaluationError for a name that is no task's and for a line that cannot be used, CorpusError
 */
export function readTasks(
  names: readonly string[],
  options: RowsOptions,
  onSkip: (line: string) => void,
): TaskRows[] {
  return names.flatMap((name): TaskRows[] => {
    const found = findTask(expertTaskOf(name));
    const missing = missingFile(found.task.fileNames, options.dataDir);
    if (missing !== undefined) {
      onSkip(`Task ${name} is left out: there is no ${missing}.`);
      return [];
    }
    if (name === mathTaskName) {
      return [{ kind: "generation", name, problems: readMathProblems(options) }];
    }
    if (found.kind === "text")
      return [{ kind: "text", name, texts: found.task.readTexts(options) }];
    const { task } = found;
    return [{ kind: "choice", name, metric: task.metric, questions: task.readQuestions(options) }];
  });
}

/**
 * Rows to calibrate an expert of a task with, or null where their file is not there.
 * @throws EvaluationError for a name that is no task's and for a line that cannot be used, CorpusError
 */
export function readTaskCorpus(name: string, dataDir: string): CorpusRow[] | null {
  const { task } = findTask(expertTaskOf(name));
  if (missingFile(task.corpusNames, dataDir) !== undefined) return null;
  return task.readCorpus({ dataDir, maxRows: Number.MAX_SAFE_INTEGER });
}

type FoundTask =
  | { readonly kind: "choice"; readonly task: ChoiceTask }
  | { readonly kind: "text"; readonly task: TextTask };

function findTask(name: string): FoundTask {
  const choice = choiceTasks.find((task) => task.name === name);
  if (choice) return { kind: "choice", task: choice };
  const text = textTasks.find((task) => task.name === name);
  if (text) return { kind: "text", task: text };
  throw new EvaluationError(
    `There is no task ${JSON.stringify(name)}, expected one of ${taskNames.join(", ")}.`,
  );
}

function missingFile(fileNames: readonly string[], dataDir: string): string | undefined {
  return fileNames.map((fileName) => join(dataDir, fileName)).find((path) => !existsSync(path));
}
