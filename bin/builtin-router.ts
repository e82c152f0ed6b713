import { z } from "zod";
import { builtinTasks } from "../prune/tasks/builtin-tasks.ts";
import { RouterError } from "../router/errors.ts";
import { defaultFalseRejection } from "../router/fit-clusters.ts";
import type { RouterSource } from "../server/routing/router-source.ts";
import { runChildCommand } from "./child-command.ts";
import { builtinSource } from "./router/prompt-source.ts";
import { routerKey, shippedRouter } from "./router/router-key.ts";

const outputSchema = z.object({ path: z.string() });

/**
 * The router of the built-in tasks: the package's, which is there for the default model, or from the cache folder, or
 * fitted there by `seap router fit` in a process of its own, on one thread.
 */
export const builtinRouter: RouterSource = {
  tasks: builtinTasks.map(({ name }) => name).sort(),
  async file({ modelPath, contentHash, weights, cacheDir, signal }) {
    const recipe = { falseRejection: defaultFalseRejection, format: weights, model: contentHash };
    const shipped = shippedRouter(routerKey(builtinSource(), recipe));
    if (shipped !== null) return shipped;
    const flags = { model: modelPath, weights, threads: "1", "cache-dir": cacheDir };
    const args = Object.entries(flags).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, value],
    );
    try {
      const stdout = await runChildCommand(["router", "fit", "--json", ...args], { signal });
      return outputSchema.parse(JSON.parse(stdout)).path;
    } catch (cause) {
      signal.throwIfAborted();
      const problem = cause instanceof Error ? cause.message : String(cause);
      throw new RouterError(`seap router fit failed: ${problem}`, { cause });
    }
  },
};
