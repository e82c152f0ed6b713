import { ConfigError } from "../server/config-error.ts";
import type { CommandIo } from "./command-line.ts";
import { interruptible } from "./interruption.ts";
import type { InterruptSource } from "./interruption.ts";
import { buildExperts } from "./prune/build-experts.ts";
import { calibrateTasks } from "./prune/calibrate-tasks.ts";
import { listTasks } from "./prune/list-tasks.ts";
import { mergeProfiles } from "./prune/merge-profiles.ts";
import { commandHelp, pruneHelp } from "./prune/prune-help.ts";
import {
  buildSchema,
  calibrateSchema,
  mergeSchema,
  parseOptions,
  tasksSchema,
} from "./prune/prune-options.ts";

type Run = (args: readonly string[], io: CommandIo, signal: AbortSignal) => Promise<void>;

const commands: Readonly<Record<string, Run>> = {
  tasks(args, io) {
    listTasks(io, parseOptions("tasks", tasksSchema, args));
    return Promise.resolve();
  },
  calibrate(args, io, signal) {
    const { options, json } = parseOptions("calibrate", calibrateSchema, args);
    return calibrateTasks({ ...options, json }, io, signal);
  },
  merge(args, io) {
    const settings = { allowPositionals: true };
    const { options, json, positionals } = parseOptions("merge", mergeSchema, args, settings);
    return mergeProfiles(positionals, { ...options, json }, io);
  },
  build(args, io, signal) {
    const { options, json } = parseOptions("build", buildSchema, args);
    return buildExperts({ ...options, json }, io, signal);
  },
};

/**
 * `seap prune`: makes experts. A signal ends it after the batch it is at.
 * @throws ConfigError, InterruptedError, another SeapError
 */
export async function runPruneCommand(
  args: readonly string[],
  io: CommandIo,
  signals: InterruptSource,
): Promise<void> {
  const [name = "--help", ...rest] = args;
  if (name === "--help" || name === "-h") {
    io.stdout(pruneHelp);
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
    "Ended. What was finished is kept: the same command goes on from there.",
    (signal) => run(rest, io, signal),
  );
}
