import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { builtinTasks } from "../../prune/tasks/builtin-tasks.ts";
import { readCorpusFile } from "../../prune/tasks/corpus.ts";
import { readBackground } from "../../router/background.ts";
import { RouterError } from "../../router/errors.ts";
import { readDataPrompts } from "./data-prompts.ts";
import { promptViews } from "./prompt-views.ts";
import { rowMessages } from "./routed-prompt.ts";
import type { Conversation } from "./routed-prompt.ts";

/** Prompts to fit a router with, by name. */
export interface PromptSource {
  readonly tasks: ReadonlyMap<string, readonly Conversation[]>;
  /** Prompts of none of the tasks. */
  readonly background: ReadonlyMap<string, readonly Conversation[]>;
}

/** Of a file: more add time and little else. */
const maxPrompts = 600;
/** As in model names and metric labels. */
const taskPattern = /^[a-z][a-z0-9_-]{0,31}$/;

/** The corpora that come with the package. @throws CorpusError */
export function builtinSource(): PromptSource {
  return {
    tasks: new Map(
      builtinTasks.map(({ name, corpusPath }) => [
        name,
        readCorpus(corpusPath).flatMap(promptViews),
      ]),
    ),
    background: readBackgroundGroups(),
  };
}

/**
 * The tasks of a folder: `<task>.jsonl` is a corpus, `<task>.calib.jsonl` has the rows of a data set.
 * @throws RouterError or CorpusError when it has no tasks or a file cannot be used
 */
export function folderSource(folder: string): PromptSource {
  if (!existsSync(folder)) throw new RouterError(`${folder}: expected a folder, there is none.`);
  const tasks = new Map<string, readonly Conversation[]>();
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith(".jsonl") || file.endsWith(".eval.jsonl")) continue;
    const isDataSet = file.endsWith(".calib.jsonl");
    const task = file.slice(0, isDataSet ? -".calib.jsonl".length : -".jsonl".length);
    if (!taskPattern.test(task)) {
      throw new RouterError(
        `${join(folder, file)}: expected a task's name of lower-case letters, digits, - and _, got ` +
          `${JSON.stringify(task)}.`,
      );
    }
    const path = join(folder, file);
    tasks.set(
      task,
      isDataSet
        ? readDataPrompts(path, "template", maxPrompts)
        : readCorpus(path).flatMap(promptViews),
    );
  }
  if (tasks.size < 2) {
    throw new RouterError(
      `${folder}: expected at least 2 files <task>.jsonl or <task>.calib.jsonl, got ${tasks.size}.`,
    );
  }
  return { tasks, background: backgroundFor([...tasks.keys()]) };
}

/** Built-in tasks that resemble other data sets too much to be what these are not. */
const broadTasks = ["knowledge", "math", "reading"];

/** What prompts of none of these tasks may look like: prompts of other tasks, and of no task. */
export function backgroundFor(
  tasks: readonly string[],
): ReadonlyMap<string, readonly Conversation[]> {
  const others = builtinTasks.filter(
    ({ name }) => !tasks.includes(name) && !broadTasks.includes(name),
  );
  return new Map([
    ...others.map(({ name, corpusPath }) => [`other-${name}`, readCorpus(corpusPath)] as const),
    ...readBackgroundGroups(),
  ]);
}

function readBackgroundGroups(): Map<string, Conversation[]> {
  const groups = new Map<string, Conversation[]>();
  for (const { group, prompt } of readBackground()) {
    const conversation = [{ role: "user", content: prompt }];
    const rows = groups.get(group);
    if (rows) rows.push(conversation);
    else groups.set(group, [conversation]);
  }
  return groups;
}

function readCorpus(path: string): Conversation[] {
  return readCorpusFile(path).map(rowMessages).slice(0, maxPrompts);
}
