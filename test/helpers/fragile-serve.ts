import { runCommandLine } from "../../bin/command-line.ts";
import { serveCommand } from "../../bin/serve-command.ts";
import { loadModel } from "../../server/model/load-model.ts";
import { fragileWorker } from "./fragile.ts";

// `seap serve` with an engine whose thread requests can end.
process.exitCode = await runCommandLine(
  process.argv.slice(2),
  {
    serve: serveCommand({
      load: (config, log) => loadModel(config, log, { worker: fragileWorker }),
      signals: process,
      exit: (code) => process.exit(code),
      kill: () => process.kill(process.pid, "SIGKILL"),
    }),
  },
  {
    env: process.env,
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
    stderrIsTty: false,
    stdoutIsTty: false,
  },
);
