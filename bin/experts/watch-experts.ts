import { setTimeout as delay } from "node:timers/promises";
import type { CommandIo } from "../command-line.ts";
import { describeExpert, formatExperts } from "./format-experts.ts";
import type { ExpertList, ServerClient } from "./server-client.ts";

export interface WatchOptions {
  readonly client: Pick<ServerClient, "list">;
  readonly json: boolean;
  readonly io: CommandIo;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** @default 1000 */
  readonly intervalMs?: number;
}

/** Home, and clear to the end of the screen. */
const redraw = "\x1b[H\x1b[J";

/**
 * Shows the experts until the signal aborts: on a terminal a table that is drawn anew, elsewhere a line for each
 * expert whose state has changed; as JSON one line each time.
 * @throws ServerRequestError
 */
export async function watchExperts(options: WatchOptions): Promise<void> {
  const { client, json, io, signal, intervalMs = 1000 } = options;
  const isTable = !json && io.stdoutIsTty === true;
  const states = new Map<string, string>();
  if (isTable) io.stdout("\x1b[2J");
  try {
    for (;;) {
      const list = await client.list();
      if (json) io.stdout(`${JSON.stringify(list.json)}\n`);
      else if (isTable) io.stdout(`${redraw}${formatExperts(list.value, Date.now())}`);
      else printChanges(list.value, states, io);
      await delay(intervalMs, undefined, { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function printChanges({ data }: ExpertList, states: Map<string, string>, io: CommandIo): void {
  for (const expert of data) {
    if (states.get(expert.id) === expert.state) continue;
    states.set(expert.id, expert.state);
    io.stdout(`${new Date().toISOString()} ${describeExpert(expert)}\n`);
  }
}
