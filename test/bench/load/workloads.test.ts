import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { readPromptSource } from "../../../bench/load/prompt-source.ts";
import { createWorkload, workloadNames } from "../../../bench/load/workloads.ts";
import { builtinTests } from "../../../bin/router/suites.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

test("where there is no data, every workload has prompts of the built-in corpora", (t) => {
  const source = readPromptSource(tempDir(t));
  t.is(source.origin, "built-in corpora");
  for (const name of workloadNames) {
    const { sessions } = createWorkload(name, source);
    t.true(sessions.length >= 16, name);
    t.true(
      sessions.every(({ turns }) => turns.every((turn) => turn.trim() !== "")),
      name,
    );
  }
});

test("mixed prompts have each task in turn", (t) => {
  const { sessions } = createWorkload("mixed", readPromptSource(tempDir(t)));
  const tasks = Object.keys(builtinTests);
  t.deepEqual(
    sessions.slice(0, tasks.length).map(({ task }) => task),
    tasks,
  );
});

test("conversations and shared system prompts are what caches are for", (t) => {
  const source = readPromptSource(tempDir(t));
  const cached = workloadNames.filter((name) => createWorkload(name, source).usesCache);
  t.deepEqual(cached, ["multi-turn", "shared-system"]);
  t.true(createWorkload("multi-turn", source).sessions.every(({ turns }) => turns.length >= 2));
  const [first, second] = createWorkload("shared-system", source).sessions;
  t.is(first!.system, second!.system);
  t.truthy(first!.system);
});

test("the data on the machine is read where all tasks have theirs", (t) => {
  const dir = tempDir(t);
  for (const [dataSet] of Object.values(builtinTests)) {
    const row = { prompt: `A prompt of ${dataSet!}.` };
    writeFileSync(join(dir, `${dataSet!}.eval.jsonl`), JSON.stringify(row));
  }
  writeFileSync(join(dir, "mt_bench.eval.jsonl"), JSON.stringify({ turns: ["One?", "Two?"] }));
  const source = readPromptSource(dir);
  t.is(source.origin, dir);
  t.deepEqual(source.byTask["chat"], ["A prompt of chat."]);
  t.deepEqual(createWorkload("multi-turn", source).sessions, [
    { task: "chat", turns: ["One?", "Two?"] },
  ]);
});
