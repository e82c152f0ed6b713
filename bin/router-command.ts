import { parseOptions } from "./command-options.ts";
import type { CommandIo } from "./command-line.ts";
import type { InterruptSource } from "./interruption.ts";
import { evaluateRouters } from "./router/evaluate-routers.ts";
import { explainPrompt } from "./router/explain-prompt.ts";
import { fitRouter } from "./router/fit-router.ts";
import { proposeTasks } from "./router/propose-tasks.ts";
import { routerCommandHelp, routerHelp } from "./router/router-help.ts";
import {
  routerEvalSchema,
  explainSchema,
  fitSchema,
  proposeSchema,
} from "./router/router-options.ts";
import { runSubcommand } from "./subcommands.ts";
import type { Subcommand } from "./subcommands.ts";

const commands: Readonly<Record<string, Subcommand>> = {
  fit(args, io, signal) {
    const { options, json } = parseOptions("router fit", fitSchema, args);
    return fitRouter({ ...options, json }, io, signal);
  },
  eval(args, io, signal) {
    const { options, json } = parseOptions("router eval", routerEvalSchema, args);
    return evaluateRouters({ ...options, json }, io, signal);
  },
  explain(args, io, signal) {
    const { options, json, positionals } = parseOptions("router explain", explainSchema, args, {
      positionals: 1,
    });
    return explainPrompt(positionals[0]!, { ...options, json }, io, signal);
  },
  propose(args, io, signal) {
    const { options, json, positionals } = parseOptions("router propose", proposeSchema, args, {
      positionals: 1,
    });
    return proposeTasks(positionals[0]!, { ...options, json }, io, signal);
  },
};

/**
 * `seap router`: chooses tasks for prompts. A signal ends it after the batch it is at.
 * @throws ConfigError, InterruptedError, another SeapError
 */
export async function runRouterCommand(
  args: readonly string[],
  io: CommandIo,
  signals: InterruptSource,
): Promise<void> {
  await runSubcommand({ commands, help: routerHelp, helpOf: routerCommandHelp }, args, io, signals);
}
