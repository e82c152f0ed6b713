import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { constants, setPriority } from "node:os";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

export interface ChildCommandOptions {
  /** Ends the command: kindly, and after five seconds for good. */
  readonly signal: AbortSignal;
  /** Called with each line that it writes to stderr. */
  readonly onLine?: (line: string) => void;
}

const killMs = 5000;

/**
 * Runs `seap` in a process of its own, of low priority so that the server's answers hardly wait for it. When this
 * process dies the other one ends at the next line that it writes.
 * @returns what it wrote to stdout
 * @throws Error with the last line that it wrote to stderr when it fails, and the signal's reason
 */
export async function runChildCommand(
  args: readonly string[],
  { signal, onLine }: ChildCommandOptions,
): Promise<string> {
  signal.throwIfAborted();
  const cli = fileURLToPath(new URL("./cli.js", import.meta.url));
  const child = spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  lowerPriority(child);
  let lastLine = "";
  createInterface({ input: child.stderr }).on("line", (line) => {
    lastLine = line;
    onLine?.(line);
  });
  let kill: NodeJS.Timeout | undefined;
  const end = () => {
    child.kill("SIGINT");
    kill = setTimeout(() => child.kill("SIGKILL"), killMs);
  };
  signal.addEventListener("abort", end, { once: true });
  try {
    const [[status, killedBy], stdout] = await Promise.all([
      once(child, "close") as Promise<[number | null, string | null]>,
      text(child.stdout),
    ]);
    signal.throwIfAborted();
    if (status === 0) return stdout;
    throw new Error(`${killedBy ?? `status ${status}`}: ${lastLine}`);
  } finally {
    signal.removeEventListener("abort", end);
    clearTimeout(kill);
  }
}

function lowerPriority({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, or the system does not allow it.
  }
}
