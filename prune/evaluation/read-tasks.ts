import { existsSync } from "node:fs";
import { join } from "node:path";
import type { CorpusRow } from "../corpus.ts";
import { choiceTasks } from "./choice-tasks.ts";
import type { ChoiceQuestion } from "./choice-tasks.ts";
import { EvaluationError } from "./errors.ts";
import type { RowsOptions } from "./task-rows.ts";
import { textTasks } from "./text-tasks.ts";

/** Rows of a task, the same for all middles that are compared. */
export type TaskRows =
  | {
      readonly kind: "choice";
      readonly name: string;
      readonly metric: "acc" | "acc_norm";
      readonly questions: readonly ChoiceQuestion[];
    }
  | { readonly kind: "text"; readonly name: string; readonly texts: readonly CorpusRow[] };

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
    const choice = choiceTasks.find((task) => task.name === name);
    const text = textTasks.find((task) => task.name === name);
    const missing = (choice ?? text)?.fileNames.find(
      (fileName) => !existsSync(join(options.dataDir, fileName)),
    );
    if (missing !== undefined) {
      onSkip(`Task ${name} is left out: there is no ${join(options.dataDir, missing)}.`);
      return [];
    }
    if (choice) {
      const questions = choice.readQuestions(options);
      return [{ kind: "choice", name, metric: choice.metric, questions }];
    }
    if (text) return [{ kind: "text", name, texts: text.readTexts(options) }];
    const known = [...choiceTasks, ...textTasks].map((task) => task.name).join(", ");
    throw new EvaluationError(
      `There is no task ${JSON.stringify(name)}, expected one of ${known}.`,
    );
  });
}
