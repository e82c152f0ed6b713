import test, { type ExecutionContext } from "ava";
import { OverloadedError } from "../../../engine/contract/errors.ts";
import { Background, type BackgroundOptions } from "../../../server/background/background.ts";
import { TaskLimitError } from "../../../server/base/task-limit-error.ts";
import type * as tasks from "../../helpers/background-tasks.ts";

function start(t: ExecutionContext, options: Partial<BackgroundOptions> = {}) {
  const worker = new URL("../../helpers/background-tasks.js", import.meta.url);
  const background = new Background<typeof tasks>({ worker, budgetMs: 30_000, ...options });
  t.teardown(() => background.close());
  return background;
}

test("a task's result comes back, and so does what it throws", async (t) => {
  const background = start(t);
  t.is(await background.run("double", 21), 42);
  await t.throwsAsync(background.run("fail", "no luck"), { message: "no luck" });
  t.is(await background.run("double", 2), 4);
});

test("a task over its time is ended, and those behind it are done all the same", async (t) => {
  const background = start(t, { budgetMs: 300 });
  const endless = background.run("spin", undefined);
  const behind = [background.run("double", 1), background.run("double", 2)];
  await t.throwsAsync(endless, { instanceOf: TaskLimitError, message: /300 ms/ });
  t.deepEqual(await Promise.all(behind), [2, 4]);
});

test("a task over its memory is ended, and the next one is done", async (t) => {
  const background = start(t);
  const greedy = background.run("hoard", undefined);
  await t.throwsAsync(greedy, { instanceOf: TaskLimitError, message: /512 MiB/ });
  t.is(await background.run("double", 4), 8);
});

test("more tasks than may wait are refused at once", async (t) => {
  const background = start(t, { maxWaiting: 2 });
  const accepted = [1, 2, 3].map((value) => background.run("double", value));
  await t.throwsAsync(background.run("double", 4), { instanceOf: OverloadedError });
  t.deepEqual(await Promise.all(accepted), [2, 4, 6]);
});

test("a background that was closed ends what it is doing", async (t) => {
  const background = start(t);
  await background.run("double", 1);
  const endless = background.run("spin", undefined);
  const ended = t.throwsAsync(endless);
  await new Promise((resolve) => setImmediate(resolve));
  await background.close();
  await ended;
});
