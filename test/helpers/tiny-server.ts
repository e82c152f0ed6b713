import { loadModel } from "../../server/model/load-model.ts";
import { parseConfig } from "../../server/config/config.ts";
import { createLog } from "../../server/base/log.ts";
import { startServer } from "../../server/start-server.ts";
import { fragileWorker } from "./fragile.ts";
import { TinyExpertSource } from "./tiny-expert-source.ts";

// A server process as `seap serve`, but for its experts, which take milliseconds to build, and for its engine, whose
// thread requests can end.
// Arguments: the model file, a folder for experts, their tasks with commas between them, then flags of `seap serve`.
const [modelPath, folder, tasks, ...args] = process.argv.slice(2) as [string, string, string];
const { config } = parseConfig({ args: ["--model", modelPath, ...args], env: {} });
const log = createLog(config.logLevel, (line) => process.stderr.write(line));
const experts = new TinyExpertSource(modelPath, folder, tasks.split(","));
const { loaded } = await startServer({
  config,
  log,
  load: () => loadModel(config, log, { experts, worker: fragileWorker }),
  signals: process,
  exit: (status) => process.exit(status),
  kill: () => process.kill(process.pid, "SIGKILL"),
});
await loaded;
