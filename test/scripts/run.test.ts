import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const runModule = pathToFileURL(resolve("scripts/run.mjs")).href;

/** A process that runs `child` through scripts/run.mjs and ends as it ends. */
function launcherArgs(child: string): string[] {
  return [
    "--input-type=module",
    "--eval",
    `import { exitLike, run } from ${JSON.stringify(runModule)};
     exitLike(await run(process.execPath, ["--eval", ${JSON.stringify(child)}]));`,
  ];
}

test("the exit code of the program is handed on", async (t) => {
  const failed = promisify(execFile)(process.execPath, launcherArgs("process.exit(7)"));
  await t.throwsAsync(failed, { code: 7 as never });
});

test("a signal reaches the program once, which may drain and end with its own code", async (t) => {
  const launcher = spawn(
    process.execPath,
    launcherArgs(`
      let received = 0;
      process.on("SIGTERM", () => {
        received += 1;
        console.log("received", received);
        if (received === 1) setTimeout(() => process.exit(3), 50);
      });
      setInterval(() => {}, 1000);
      console.log("ready");`),
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  t.teardown(() => launcher.kill("SIGKILL"));
  const lines: string[] = [];
  for await (const line of createInterface({ input: launcher.stdout })) {
    lines.push(line);
    if (line === "ready") {
      launcher.kill("SIGTERM");
      launcher.kill("SIGTERM");
    } else {
      launcher.kill("SIGTERM");
    }
  }
  const [code] =
    launcher.exitCode === null ? ((await once(launcher, "exit")) as [number]) : [launcher.exitCode];
  t.deepEqual(lines, ["ready", "received 1"]);
  t.is(code, 3);
});

test("a terminal that closes is told to the program", async (t) => {
  const launcher = spawn(
    process.execPath,
    launcherArgs(`process.on("SIGHUP", () => process.exit(4)); setInterval(() => {}, 1000);
      console.log("ready");`),
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  t.teardown(() => launcher.kill("SIGKILL"));
  await once(launcher.stdout, "data");
  launcher.kill("SIGHUP");
  t.deepEqual(await once(launcher, "exit"), [4, null]);
});

test("a program that ends by a signal ends the process that runs it by the same signal", async (t) => {
  const launcher = spawn(process.execPath, launcherArgs('process.kill(process.pid, "SIGTERM")'), {
    stdio: "ignore",
  });
  t.deepEqual(await once(launcher, "exit"), [null, "SIGTERM"]);
});
