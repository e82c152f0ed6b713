import { ConfigError } from "../server/base/config-error.ts";
import type { CommandIo } from "./command-line.ts";
import { interruptible } from "./interruption.ts";
import type { InterruptSource } from "./interruption.ts";

export type Subcommand = (
  args: readonly string[],
  io: CommandIo,
  signal: AbortSignal,
) => Promise<void>;

export interface Subcommands {
  readonly commands: Readonly<Record<string, Subcommand>>;
  /** Of the command itself. */
  readonly help: string;
  readonly helpOf: (name: string) => string;
}

/**
 * Runs the subcommand that the arguments begin with. A signal ends it after the batch it is at.
 * @throws ConfigError, InterruptedError, another SeapError
 */
export async function runSubcommand(
  { commands, help, helpOf }: Subcommands,
  args: readonly string[],
  io: CommandIo,
  signals: InterruptSource,
): Promise<void> {
  const [name = "--help", ...rest] = args;
  if (name === "--help" || name === "-h") {
    io.stdout(help);
    return;
  }
  const run = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (run === undefined) {
    const known = Object.keys(commands).join(", ");
    throw new ConfigError(`Expected one of ${known}, got ${JSON.stringify(name)}.`);
  }
  if (rest.includes("--help") || rest.includes("-h")) {
    io.stdout(helpOf(name));
    return;
  }
  await interruptible(
    signals,
    "Ended. What was finished is kept: the same command goes on from there.",
    (signal) => run(rest, io, signal),
  );
}
