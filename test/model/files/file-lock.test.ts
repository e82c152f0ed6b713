import { spawnSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import test from "ava";
import type { ExecutionContext } from "ava";
import { withFileLock } from "../../../model/files/file-lock.ts";
import type { FileLockOptions } from "../../../model/files/file-lock.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

function setUp(t: ExecutionContext) {
  const dir = tempDir(t);
  const options: FileLockOptions = {
    path: join(dir, "locks", "a.lock"),
    signal: new AbortController().signal,
    pollMs: 1,
  };
  return { dir, options };
}

test("one is in at a time, and the others are told who is", async (t) => {
  const { options } = setUp(t);
  const events: string[] = [];
  const signs = new EventEmitter();
  const entered = once(signs, "entered");
  const running = withFileLock(options, async () => {
    const goOn = once(signs, "go on");
    signs.emit("entered");
    await goOn;
    events.push("first");
  });
  await entered;
  const waiting = withFileLock(
    {
      ...options,
      onWait: (owner) => {
        t.is(owner, `process ${process.pid} on ${hostname()}`);
        events.push("wait");
        signs.emit("go on");
      },
    },
    () => Promise.resolve(events.push("second")),
  );
  await Promise.all([running, waiting]);
  t.deepEqual(events, ["wait", "first", "second"]);
  t.false(existsSync(options.path));
});

test("work that fails gives the lock back, and its error on", async (t) => {
  const { options } = setUp(t);
  const failing = withFileLock(options, () => Promise.reject(new Error("broken")));
  await t.throwsAsync(failing, { message: "broken" });
  t.is(await withFileLock(options, () => Promise.resolve(1)), 1);
});

test("the lock of a process that died on this machine is taken over at once", async (t) => {
  const { dir, options } = setUp(t);
  await withFileLock(options, () => Promise.resolve());
  const { pid } = spawnSync(process.execPath, ["--version"]);
  writeFileSync(options.path, JSON.stringify({ token: "x", host: hostname(), pid }));
  t.is(await withFileLock(options, () => Promise.resolve(1)), 1);
  t.deepEqual(readdirSync(join(dir, "locks")), []);
});

for (const content of ['{"token": "x", "host": "elsewhere", "pid": 1}', ""]) {
  test(`a lock that nobody touches is taken over after a while: ${content || "empty"}`, async (t) => {
    const { options } = setUp(t);
    await withFileLock(options, () => Promise.resolve());
    writeFileSync(options.path, content);
    let waited = 0;
    const staleMs = 20;
    const startedAt = performance.now();
    const lock = { ...options, staleMs, onWait: () => (waited += 1) };
    await withFileLock(lock, () => Promise.resolve());
    t.is(waited, 1);
    t.true(performance.now() - startedAt >= staleMs);
  });
}

test("an owner that works for long touches its lock", async (t) => {
  const { options } = setUp(t);
  await withFileLock({ ...options, staleMs: 60 }, async () => {
    utimesSync(options.path, 0, 0);
    while (statSync(options.path).mtimeMs === 0) await setImmediate();
  });
  t.pass();
});

test("waiting ends with the signal's reason", async (t) => {
  const { options } = setUp(t);
  const waiter = new AbortController();
  await withFileLock(options, async () => {
    const waiting = withFileLock(
      { ...options, signal: waiter.signal, onWait: () => waiter.abort(new Error("enough")) },
      () => Promise.resolve(t.fail("It was let in.")),
    );
    await t.throwsAsync(waiting, { message: "enough" });
  });
});
