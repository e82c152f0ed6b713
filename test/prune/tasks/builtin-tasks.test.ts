import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import test from "ava";
import { builtinTasks, type BuiltinTask } from "../../../prune/tasks/builtin-tasks.ts";
import { readCorpusFile } from "../../../prune/tasks/corpus.ts";

const MIN_PROMPTS = 120;
const MIN_CHARACTERS = 8;
const MAX_FILE_BYTES = 150_000;
const MAX_TOTAL_BYTES = 600_000;

/** The one user message of each row. */
function promptsOf({ corpusPath }: BuiltinTask): string[] {
  return readCorpusFile(corpusPath).map((row) => {
    if (row.kind !== "chat" || row.messages.length !== 1) {
      throw new Error(`${corpusPath}: expected prompts without responses, came a ${row.kind} row`);
    }
    return String(row.messages[0]!.content);
  });
}

function normalise(prompt: string): string {
  return prompt.toLowerCase().replace(/\s+/g, " ").trim();
}

for (const task of builtinTasks) {
  test(`the ${task.name} corpus holds at least ${MIN_PROMPTS} different prompts`, (t) => {
    const prompts = promptsOf(task).map(normalise);
    t.true(new Set(prompts).size >= MIN_PROMPTS, `${new Set(prompts).size} prompts`);
    t.deepEqual(
      prompts.filter((prompt, i) => prompts.indexOf(prompt) !== i),
      [],
    );
    t.deepEqual(
      prompts.filter((prompt) => prompt.length < MIN_CHARACTERS),
      [],
    );
  });
}

test("no prompt belongs to two tasks", (t) => {
  const owners = new Map<string, string>();
  for (const task of builtinTasks) {
    for (const prompt of promptsOf(task).map(normalise)) {
      const owner = owners.get(prompt) ?? task.name;
      t.is(owner, task.name, prompt);
      owners.set(prompt, task.name);
    }
  }
});

test("every corpus in the folder is a task, and the package ships the folder", (t) => {
  const folder = dirname(builtinTasks[0]!.corpusPath);
  t.deepEqual(
    readdirSync(folder)
      .filter((name) => name.endsWith(".jsonl"))
      .sort(),
    builtinTasks.map(({ corpusPath }) => basename(corpusPath)).sort(),
  );
  const text = readFileSync(new URL("../../../../package.json", import.meta.url), "utf8");
  const { files } = JSON.parse(text) as { files: string[] };
  t.true(files.includes("prune/tasks/*.jsonl"));
});

test("the corpora stay small", (t) => {
  const sizes = builtinTasks.map(({ corpusPath }) => statSync(corpusPath).size);
  t.true(Math.max(...sizes) <= MAX_FILE_BYTES, `largest ${Math.max(...sizes)} bytes`);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  t.true(total <= MAX_TOTAL_BYTES, `${total} bytes in all`);
});
