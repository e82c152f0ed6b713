import { ConfigError } from "../server/config-error.ts";
import type { CommandIo } from "./command-line.ts";
import { interruptible } from "./interruption.ts";
import type { InterruptSource } from "./interruption.ts";
import { evaluateRouters } from "./router/evaluate-routers.ts";
import { explainPrompt } from "./router/explain-prompt.ts";
import { fitRouter } from "./router/fit-router.ts";
import { proposeTasks } from "./router/propose-tasks.ts";
import { commandHelp, routerHelp } from "./router/router-help.ts";
import {
  evalSchema,
  explainSchema,
  fitSchema,
  parseOptions,
  proposeSchema,
} from "./router/router-options.ts";

type Run = (args: readonly string[], io: CommandIo, signal: AbortSignal) => Promise<void>;

const commands: Readonly<Record<string, Run>> = {
  fit(args, io, signal) {
    const { options, json } = parseOptions("fit", fitSchema, args);
    return fitRouter({ ...options, json }, io, signal);
  },
  eval(args, io, signal) {
    const { options, json } = parseOptions("eval", evalSchema, args);
    return evaluateRouters({ ...options, json }, io, signal);
  },
  explain(args, io, signal) {
    const { options, json, positionals } = parseOptions("explain", explainSchema, args, 1);
    return explainPrompt(positionals[0]!, { ...options, json }, io, signal);
  },
  propose(args, io, signal) {
    const { options, json, positionals } = parseOptions("propose", proposeSchema, args, 1);
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
  const [name = "--help", ...rest] = args;
  if (name === "--help" || name === "-h") {
    io.stdout(routerHelp);
    return;
  }
  const run = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (run === undefined) {
    const known = Object.keys(commands).join(", ");
    throw new ConfigError(`Expected one of ${known}, got ${JSON.stringify(name)}.`);
  }
  if (rest.includes("--help") || rest.includes("-h")) {
    io.stdout(commandHelp(name));
    return;
  }
  await interruptible(
    signals,
    "Ended. What was computed is kept: the same command goes on from there.",
    (signal) => run(rest, io, signal),
  );
}
