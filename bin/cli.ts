import { builtinRouter } from "./builtin-router.ts";
import { runCommandLine } from "./command-line.ts";
import { serveCommand } from "./serve-command.ts";

const status = await runCommandLine(
  process.argv.slice(2),
  {
    serve: serveCommand({
      load: async (config, log, onProgress) => {
        // Only here: it brings onnxruntime along, which "seap --help" should not wait for.
        const { loadModel } = await import("../server/model/load-model.ts");
        const { builtinExperts } = await import("./expert-builder.ts");
        return loadModel(config, log, {
          ...{ router: builtinRouter, experts: builtinExperts },
          onProgress,
        });
      },
      signals: process,
      exit: (code) => process.exit(code),
      kill: () => process.kill(process.pid, "SIGKILL"),
    }),
    models: {
      summary: "show the models that have a name, and fetch them",
      run: async (args, io) => {
        const { runModelsCommand } = await import("./models-command.ts");
        await runModelsCommand(args, io, process);
      },
    },
    prune: {
      summary: "make experts of a model, each for one task",
      run: async (args, io) => {
        const { runPruneCommand } = await import("./prune-command.ts");
        await runPruneCommand(args, io, process);
      },
    },
    eval: {
      summary: "measure what pruning costs in quality",
      run: async (args, io) => {
        const { runEvalCommand } = await import("./eval-command.ts");
        await runEvalCommand(args, io, process);
      },
    },
    experts: {
      summary: "show the experts of a running server, build, load or evict one",
      run: async (args, io) => {
        const { runExpertsCommand } = await import("./experts-command.ts");
        await runExpertsCommand(args, io, process);
      },
    },
    router: {
      summary: "choose a task for each prompt",
      run: async (args, io) => {
        const { runRouterCommand } = await import("./router-command.ts");
        await runRouterCommand(args, io, process);
      },
    },
  },
  {
    env: process.env,
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
    stderrIsTty: process.stderr.isTTY,
    stdoutIsTty: process.stdout.isTTY,
  },
);
// A server goes on; everything else is done.
if (status !== 0) process.exitCode = status;
