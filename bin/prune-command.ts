import { parseOptions } from "./command-options.ts";
import type { CommandIo } from "./command-line.ts";
import type { InterruptSource } from "./interruption.ts";
import { buildExperts } from "./prune/build-experts.ts";
import { calibrateTasks } from "./prune/calibrate-tasks.ts";
import { listTasks } from "./prune/list-tasks.ts";
import { mergeProfiles } from "./prune/merge-profiles.ts";
import { commandHelp, pruneHelp } from "./prune/prune-help.ts";
import { buildSchema, calibrateSchema, mergeSchema, tasksSchema } from "./prune/prune-options.ts";
import { runSubcommand } from "./subcommands.ts";
import type { Subcommand } from "./subcommands.ts";

const manyTasks = { repeatable: ["task"] };

const commands: Readonly<Record<string, Subcommand>> = {
  tasks(args, io) {
    listTasks(io, parseOptions("prune tasks", tasksSchema, args));
    return Promise.resolve();
  },
  calibrate(args, io, signal) {
    const { options, json } = parseOptions("prune calibrate", calibrateSchema, args, manyTasks);
    return calibrateTasks({ ...options, json }, io, signal);
  },
  merge(args, io) {
    const settings = { positionals: "any" } as const;
    const { options, json, positionals } = parseOptions("prune merge", mergeSchema, args, settings);
    return mergeProfiles(positionals, { ...options, json }, io);
  },
  build(args, io, signal) {
    const { options, json } = parseOptions("prune build", buildSchema, args, manyTasks);
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
  await runSubcommand({ commands, help: pruneHelp, helpOf: commandHelp }, args, io, signals);
}
