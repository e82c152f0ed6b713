import type { CommandIo } from "./command-line.ts";
import { evalHelp } from "./eval/eval-help.ts";
import { parseEvalOptions } from "./eval/eval-options.ts";
import { runEvaluation } from "./eval/run-evaluation.ts";
import { interruptible } from "./interruption.ts";
import type { InterruptSource } from "./interruption.ts";

/**
 * `seap eval`: measures what pruning costs. A signal ends it after the batch it is at.
 * @throws ConfigError, InterruptedError, another SeapError
 */
export async function runEvalCommand(
  args: readonly string[],
  io: CommandIo,
  signals: InterruptSource,
): Promise<void> {
  if (args.includes("--help") || args.includes("-h")) {
    io.stdout(evalHelp());
    return;
  }
  const options = parseEvalOptions(args);
  await interruptible(
    signals,
    "Ended. What was measured is kept: the same command goes on from there.",
    (signal) => runEvaluation(options, io, signal),
  );
}
