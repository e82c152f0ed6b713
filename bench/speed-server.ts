import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BuiltExpert } from "../engine/contract/experts.ts";
import { FixedRouter } from "../router/fixed-router.ts";
import { routerFile } from "../router/router-file.ts";
import { parseConfig } from "../server/config/config.ts";
import { loadModel } from "../server/model/load-model.ts";
import { createLog } from "../server/base/log.ts";
import { startServer } from "../server/start-server.ts";

/** First argument of the program, as JSON; the rest are flags of `seap serve`. */
export interface SpeedSetting {
  readonly tasks: readonly string[];
  /** The expert that every task gets. */
  readonly built: BuiltExpert;
}

// A server process as `seap serve`, but for its experts, which are there at once, and its router, which is never
// asked: a header of each request names the task, by a rule, so that the pool is free to choose another expert.
const [setting = "{}", ...args] = process.argv.slice(2);
const { tasks, built } = JSON.parse(setting) as SpeedSetting;
const { config } = parseConfig({ args, env: {} });
const log = createLog(config.logLevel, (line) => process.stderr.write(line));
await startServer({
  config,
  log,
  load: () =>
    loadModel(config, log, {
      router: {
        tasks,
        file: () => {
          const path = join(built.storeDir, "router.safetensors");
          writeFileSync(path, Buffer.concat(routerFile(new FixedRouter(null))));
          return Promise.resolve(path);
        },
      },
      experts: {
        tasks,
        createBuilder: () => ({
          find: () => Promise.resolve(built),
          build: () => Promise.resolve(built),
        }),
      },
    }),
  signals: process,
  exit: (status) => process.exit(status),
  kill: () => process.kill(process.pid, "SIGKILL"),
});
