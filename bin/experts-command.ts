import { expertCommands } from "../server/model/expert-endpoints.ts";
import type { CommandIo } from "./command-line.ts";
import { parseOptions } from "./command-options.ts";
import { expertsHelp } from "./experts/experts-help.ts";
import { commandSchema, listSchema } from "./experts/experts-options.ts";
import { describeExpert, formatExperts } from "./experts/format-experts.ts";
import { ServerClient } from "./experts/server-client.ts";
import { watchExperts } from "./experts/watch-experts.ts";
import { interruptible } from "./interruption.ts";
import type { InterruptSource } from "./interruption.ts";
import { jsonText } from "./prune/output.ts";

/**
 * `seap experts`: shows and commands the experts of a running server.
 * @throws ConfigError, InterruptedError, ServerRequestError
 */
export async function runExpertsCommand(
  args: readonly string[],
  io: CommandIo,
  signals: InterruptSource,
): Promise<void> {
  if (args.includes("--help") || args.includes("-h")) {
    io.stdout(expertsHelp());
    return;
  }
  await interruptible(signals, "Ended.", async (signal) => {
    const command = expertCommands.find((each) => each === args[0]);
    if (command === undefined) await showExperts(args, io, signal);
    else await commandExpert(command, args.slice(1), io, signal);
  });
}

async function showExperts(
  args: readonly string[],
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const { options, json } = parseOptions("experts", listSchema, args);
  const client = clientOf(options, io, signal);
  if (options.watch) return watchExperts({ client, json, io, signal });
  const list = await client.list();
  io.stdout(json ? jsonText(list.json) : formatExperts(list.value, Date.now()));
}

async function commandExpert(
  command: string,
  args: readonly string[],
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const settings = { positionals: 1 };
  const parsed = parseOptions(`experts ${command}`, commandSchema, args, settings);
  const client = clientOf(parsed.options, io, signal);
  const expert = await client.command(parsed.positionals[0]!, command);
  io.stdout(parsed.json ? jsonText(expert.json) : `${describeExpert(expert.value)}\n`);
}

function clientOf(
  { url, apiKey }: { readonly url: string; readonly apiKey?: string | undefined },
  { env }: CommandIo,
  signal: AbortSignal,
): ServerClient {
  const key = apiKey ?? env["SEAP_API_KEY"]?.split(",")[0]?.trim();
  return new ServerClient({ url, apiKey: key, signal });
}
