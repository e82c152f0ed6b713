import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { ExecutionContext } from "ava";

export interface SeapProcess {
  readonly child: ChildProcess;
  /** What it has written to stderr so far. */
  readonly stderr: () => string;
  /** Settles with the line that contains the text. @throws when the process ends before. */
  readonly untilLine: (text: string) => Promise<string>;
  /** Settles with the exit status. */
  readonly ended: Promise<number | null>;
}

/**
 * Runs the compiled `seap`, as npm's link to it does; ended with the test.
 * @param entry another program in its place
 */
export function runSeap(
  t: ExecutionContext,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  entry = "bin/seap.js",
): SeapProcess {
  const child = spawn(process.execPath, [entry, ...args], {
    env: { ...process.env, SEAP_THREADS: "1", ...env },
    stdio: ["ignore", "inherit", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const ended = once(child, "close").then(([status]) => status as number | null);
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  createInterface({ input: child.stderr }).on("line", (line) => {
    lines.push(line);
    for (const look of watchers) look();
  });
  return {
    child,
    ended,
    stderr: () => lines.join("\n"),
    untilLine: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const line = lines.find((candidate) => candidate.includes(text));
          if (line !== undefined) resolve(line);
        };
        watchers.add(look);
        look();
        void ended.then(() => reject(new Error(`ended without "${text}":\n${lines.join("\n")}`)));
      }),
  };
}
