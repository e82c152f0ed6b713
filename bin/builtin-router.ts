import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { constants, setPriority } from "node:os";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { builtinTasks } from "../prune/builtin-tasks.ts";
import { RouterError } from "../router/errors.ts";
import type { RouterSource } from "../server/routing/router-source.ts";

const outputSchema = z.object({ path: z.string() });

/**
 * The router of the built-in tasks: from the cache folder, or fitted there by `seap router fit` in a process of its
 * own, on one thread and of low priority, so that the server's answers hardly wait for it.
 */
export const builtinRouter: RouterSource = {
  tasks: builtinTasks.map(({ name }) => name).sort(),
  async file({ modelPath, weights, cacheDir, signal }) {
    signal.throwIfAborted();
    const flags = { model: modelPath, weights, threads: "1", "cache-dir": cacheDir };
    const args = Object.entries(flags).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, value],
    );
    const cli = fileURLToPath(new URL("./cli.js", import.meta.url));
    const child = spawn(process.execPath, [cli, "router", "fit", "--json", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      signal,
    });
    lowerPriority(child);
    try {
      const [[status], stdout, stderr] = await Promise.all([
        once(child, "close") as Promise<[number | null]>,
        text(child.stdout),
        text(child.stderr),
      ]);
      if (status === 0) return outputSchema.parse(JSON.parse(stdout)).path;
      throw new Error(`status ${status}: ${stderr.trim().split("\n").at(-1) ?? ""}`);
    } catch (cause) {
      signal.throwIfAborted();
      const problem = cause instanceof Error ? cause.message : String(cause);
      throw new RouterError(`seap router fit failed: ${problem}`, { cause });
    }
  },
};

function lowerPriority({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, or the system does not allow it.
  }
}
