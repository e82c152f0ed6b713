import test from "ava";
import { readCases } from "../../bin/router/case-file.ts";
import { builtinTasks } from "../../prune/tasks/builtin-tasks.ts";
import { readBackground } from "../../router/background.ts";

test("the cases are of every kind and name tasks that there are", (t) => {
  const cases = readCases("test/router/cases.jsonl");
  t.true(cases.length >= 60);
  t.is(new Set(cases.map(({ id }) => id)).size, cases.length);
  const known = [null, ...builtinTasks.map(({ name }) => name)];
  for (const { id, task, messages } of cases) {
    t.true(known.includes(task), id);
    t.is(messages.at(-1)!.role, "user", id);
  }
  const kinds = new Set(cases.map(({ kind }) => kind));
  for (const kind of [
    "multi-turn",
    "system-prompt",
    "long-document-start",
    "long-document-end",
    "code-in-prose",
    "other-language",
    "plain",
    "none",
  ]) {
    t.true(kinds.has(kind), kind);
  }
});

test("the background has groups that are large enough to learn from, each prompt once", (t) => {
  const rows = readBackground();
  t.is(new Set(rows.map(({ prompt }) => prompt)).size, rows.length);
  for (const group of new Set(rows.map((row) => row.group))) {
    t.true(rows.filter((row) => row.group === group).length >= 20, group);
  }
});
