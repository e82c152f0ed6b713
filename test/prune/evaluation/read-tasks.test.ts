import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import test from "ava";
import { EvaluationError } from "../../../prune/tasks/errors.ts";
import {
  expertTaskOf,
  readTaskCorpus,
  readTasks,
  scoredTaskNames,
  taskNames,
} from "../../../prune/evaluation/read-tasks.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

/** Beside the project, where somebody has put it. */
const dataDir = resolve("../shared/data");

test("tasks whose data is not there are left out with a line that names the file", (t) => {
  const lines: string[] = [];
  const options = { dataDir: tempDir(t), maxRows: 3 };
  t.deepEqual(
    readTasks(["piqa", "code"], options, (line) => lines.push(line)),
    [],
  );
  t.deepEqual(lines, [
    `Task piqa is left out: there is no ${join(options.dataDir, "piqa.eval.jsonl")}.`,
    `Task code is left out: there is no ${join(options.dataDir, "mbpp.eval.jsonl")}.`,
  ]);
});

test("a name that is no task's is refused with those that are", (t) => {
  const options = { dataDir: tempDir(t), maxRows: 3 };
  const error = t.throws(() => readTasks(["poems"], options, () => undefined), {
    instanceOf: EvaluationError,
  });
  t.regex(error.message, /"poems", expected one of winogrande, .*wikitext2, gsm8k_generate\.$/);
});

test("the names of tasks differ", (t) => {
  t.is(new Set(taskNames).size, taskNames.length);
});

test("every task's own file can be read, right answers in all places", (t) => {
  if (!existsSync(dataDir)) {
    t.log(`Skipped: there is no ${dataDir}.`);
    t.pass();
    return;
  }
  const tasks = readTasks(taskNames, { dataDir, maxRows: 60 }, (line) => t.fail(line));
  for (const task of tasks) {
    if (task.kind === "text") {
      t.true(task.texts.length > 0, task.name);
      continue;
    }
    if (task.kind === "generation") {
      t.is(task.problems.length, 60, task.name);
      continue;
    }
    t.is(task.questions.length, 60, task.name);
    t.true(new Set(task.questions.map(({ answer }) => answer)).size > 1, task.name);
    t.true(task.questions.every(({ pairs }) => pairs.every((pair) => pair.context !== "")));
  }
});

test("no row to calibrate with is one to evaluate with", (t) => {
  if (!existsSync(dataDir)) {
    t.log(`Skipped: there is no ${dataDir}.`);
    t.pass();
    return;
  }
  for (const task of readTasks(scoredTaskNames, { dataDir, maxRows: 300 }, (line) =>
    t.fail(line),
  )) {
    const corpus = new Set(readTaskCorpus(task.name, dataDir)!.map((row) => JSON.stringify(row)));
    t.true(corpus.size > 0, task.name);
    const texts =
      task.kind !== "choice"
        ? (task as Extract<typeof task, { kind: "text" }>).texts
        : task.questions.map(({ pairs, answer }) => {
            const { context, continuation } = pairs[answer]!;
            return { kind: "text" as const, text: context + continuation };
          });
    t.deepEqual(
      texts.filter((row) => corpus.has(JSON.stringify(row))),
      [],
      task.name,
    );
  }
});

test("a task without rows to calibrate with has no corpus", (t) => {
  t.is(readTaskCorpus("boolq", tempDir(t)), null);
});

test("the problems that are generated are those of gsm8k, and so is their expert", (t) => {
  const dataDir = tempDir(t);
  const row = { question: "2 and 2?", answer: "2+2=<<2+2=4>>4\n#### 4", final: "4" };
  for (const part of ["eval", "calib"]) {
    writeFileSync(join(dataDir, `gsm8k.${part}.jsonl`), `${JSON.stringify(row)}\n`);
  }
  const [task] = readTasks(["gsm8k_generate"], { dataDir, maxRows: 3 }, (line) => t.fail(line));
  t.deepEqual(task, {
    kind: "generation",
    name: "gsm8k_generate",
    problems: [{ question: "2 and 2?", final: "4" }],
  });
  t.is(expertTaskOf("gsm8k_generate"), "gsm8k");
  t.deepEqual(readTaskCorpus("gsm8k_generate", dataDir), readTaskCorpus("gsm8k", dataDir));
});
