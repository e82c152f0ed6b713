import { SeapError } from "../model/errors.ts";
import { ConfigError } from "../server/base/config-error.ts";
import { packageVersion } from "../server/base/package-version.ts";
import { InterruptedError } from "./interruption.ts";

export interface CommandIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  stdout(text: string): void;
  stderr(text: string): void;
  /** stderr is a terminal, where a line can be drawn over. @default false */
  readonly stderrIsTty?: boolean;
  /** @default false */
  readonly stdoutIsTty?: boolean;
}

export interface Command {
  readonly summary: string;
  /**
   * @param args - what follows the command's name
   * @throws ConfigError when the arguments are wrong, InterruptedError when the user ended it, another
   * SeapError when it fails.
   */
  run(args: readonly string[], io: CommandIo): Promise<void>;
}

export type CommandTable = Readonly<Record<string, Command>>;

/** @returns the exit status: 0, 1 when the command failed, 2 when it was called wrongly, 130 when it was ended. */
export async function runCommandLine(
  args: readonly string[],
  commands: CommandTable,
  io: CommandIo,
): Promise<number> {
  const [name = "--help", ...rest] = args;
  if (name === "--help" || name === "-h" || name === "help") {
    io.stdout(usage(commands));
    return 0;
  }
  if (name === "--version" || name === "-v") {
    io.stdout(`seap ${packageVersion()}\n`);
    return 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    const kind = name.startsWith("-") ? "option" : "command";
    io.stderr(`seap: there is no ${kind} ${JSON.stringify(name)}\n\n${usage(commands)}`);
    return 2;
  }
  try {
    await command.run(rest, io);
    return 0;
  } catch (error) {
    if (!(error instanceof SeapError)) throw error;
    io.stderr(`seap ${name}: ${error.message}\n`);
    if (error instanceof InterruptedError) return 130;
    return error instanceof ConfigError ? 2 : 1;
  }
}

function usage(commands: CommandTable): string {
  const rows = Object.entries(commands).map(
    ([name, { summary }]) => `  ${name.padEnd(10)}${summary}`,
  );
  return `Usage: seap <command> [options]

Commands:
${rows.join("\n")}

  seap <command> --help   options of a command
  seap --version          version
`;
}
