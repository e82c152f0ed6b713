import { mkdirSync, copyFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { CommandIo } from "../command-line.ts";
import { jsonText } from "../prune/output.ts";
import { fittedRouter } from "./fitted-router.ts";
import { builtinSource, folderSource } from "./prompt-source.ts";
import type { RouterFitOptions } from "./router-options.ts";
import { withRouterRun } from "./router-run.ts";

/** `seap router fit` @throws SeapError, and the signal's reason */
export async function fitRouter(
  options: RouterFitOptions & { readonly json: boolean },
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const source = options.data === undefined ? builtinSource() : folderSource(options.data);
  await withRouterRun(options, io, signal, async (run) => {
    const fitted = await fittedRouter(run, source, options);
    let { path } = fitted;
    if (options.out !== undefined) {
      path = resolve(options.out);
      mkdirSync(dirname(path), { recursive: true });
      copyFileSync(fitted.path, path);
    }
    const { tasks } = fitted.router;
    const sizeBytes = statSync(path).size;
    run.bar.end();
    if (options.json) {
      io.stdout(jsonText({ router: fitted.key, path, sizeBytes, isNew: fitted.isNew, tasks }));
      return;
    }
    const state = fitted.isNew ? "Fitted" : "Already fitted";
    io.stdout(
      `${state}: ${tasks.length} tasks (${tasks.join(", ")})\n` +
        `${path}, ${Math.ceil(sizeBytes / 1024)} KiB\n`,
    );
  });
}
