import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BuiltExpert } from "../engine/contract/experts.ts";
import { openModel } from "../model/weights/open-model.ts";
import { ClusterRouter } from "../router/cluster-router.ts";
import { numTrunkFeatures } from "../router/features.ts";
import { routerFile } from "../router/router-file.ts";
import { parseConfig } from "../server/config/config.ts";
import { loadModel } from "../server/model/load-model.ts";
import { createLog } from "../server/base/log.ts";
import { startServer } from "../server/start-server.ts";
import { processBuilder } from "./soak/process-builder.ts";
import type { ProcessBuilding } from "./soak/process-builder.ts";

/** First argument of the program, as JSON; the rest are flags of `seap serve`. */
export interface SpeedSetting {
  readonly tasks: readonly string[];
  /** The expert that every task gets. */
  readonly built: BuiltExpert;
  /** How experts are built one after the other; unset: they are there at once. */
  readonly building?: ProcessBuilding;
}

// A server process as `seap serve`, but for its experts, which are there at once, and its router, which is never
// asked: a header of each request names the task, by a rule, so that the pool is free to choose another expert.
const [setting = "{}", ...args] = process.argv.slice(2);
const { tasks, built, building } = JSON.parse(setting) as SpeedSetting;
const { config } = parseConfig({ args, env: {} });
const log = createLog(config.logLevel, (line) => process.stderr.write(line));
await startServer({
  config,
  log,
  load: () =>
    loadModel(config, log, {
      router: {
        tasks,
        file: async () => {
          const path = join(built.storeDir, "router.safetensors");
          writeFileSync(path, Buffer.concat(routerFile(await anyRouter())));
          return path;
        },
      },
      experts: {
        tasks,
        createBuilder: () =>
          building
            ? processBuilder(building)
            : { find: () => Promise.resolve(built), build: () => Promise.resolve(built) },
      },
    }),
  signals: process,
  exit: (status) => process.exit(status),
  kill: () => process.kill(process.pid, "SIGKILL"),
});

/** One of the model's size, which sends everything to the first task. */
async function anyRouter(): Promise<ClusterRouter> {
  const { weights } = await openModel(config.model);
  weights.close();
  const numFeatures = numTrunkFeatures(weights.config.hiddenSize);
  return new ClusterRouter({
    model: null,
    projection: { center: new Float64Array(numFeatures), matrix: [new Float64Array(numFeatures)] },
    clusters: [{ task: tasks[0]!, centroid: new Float64Array(1) }],
    temperature: 1,
    threshold: Infinity,
  });
}
