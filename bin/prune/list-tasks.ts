import { builtinTasks } from "../../prune/tasks/builtin-tasks.ts";
import { readCorpusFile } from "../../prune/tasks/corpus.ts";
import type { CommandIo } from "../command-line.ts";
import { jsonText } from "./output.ts";

/** `seap prune tasks` @throws CorpusError */
export function listTasks(io: CommandIo, { json }: { readonly json: boolean }): void {
  const tasks = builtinTasks.map(({ name, description, corpusPath }) => ({
    task: name,
    description,
    numPrompts: readCorpusFile(corpusPath).length,
    corpus: corpusPath,
  }));
  if (json) {
    io.stdout(jsonText(tasks));
    return;
  }
  const width = Math.max(...tasks.map(({ task }) => task.length));
  for (const { task, description, numPrompts } of tasks) {
    io.stdout(`${task.padEnd(width)}  ${numPrompts} prompts  ${description}\n`);
  }
}
