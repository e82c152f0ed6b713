import { EventEmitter, once } from "node:events";
import OpenAI from "openai";
import { parseConfig } from "../../server/config/config.ts";
import { loadModel } from "../../server/model/load-model.ts";
import type { ModelSources } from "../../server/model/load-model.ts";
import { createLog } from "../../server/base/log.ts";
import { startServer } from "../../server/start-server.ts";

export interface ServedModel {
  readonly url: string;
  /** The official client, without retries. */
  readonly client: OpenAI;
  /** Value of one sample of /metrics, by its name and labels as printed. */
  readonly metric: (sample: string) => Promise<number | undefined>;
  /** Settles once a sample has the value; asks again and again until then. */
  readonly untilMetric: (sample: string, value: number) => Promise<void>;
  /** Stops the server as a signal does. @throws when that fails. */
  readonly stop: () => Promise<void>;
}

/**
 * All of `seap serve` but the process: its configuration, the real engine, the real model, a free port;
 * one thread, since several that spin are slow where other tests run beside them.
 * @param args - flags of `seap serve`
 */
export async function serveModel(
  args: readonly string[],
  sources: ModelSources = {},
): Promise<ServedModel> {
  const { config } = parseConfig({ args: ["--port", "0", "--threads", "1", ...args], env: {} });
  const signals = new EventEmitter();
  const log = createLog("silent", () => undefined);
  const { url, loaded } = await startServer({
    config,
    log,
    load: () => loadModel(config, log, sources),
    signals,
    exit: (status) => signals.emit("exit", status),
    kill: () => signals.emit("exit", 137),
  });
  await loaded;
  const metric = async (sample: string): Promise<number | undefined> => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const line = text.split("\n").find((row) => row.startsWith(`${sample} `));
    return line === undefined ? undefined : Number(line.slice(sample.length + 1));
  };
  return {
    url,
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 }),
    metric,
    untilMetric: async (sample, value) => {
      while ((await metric(sample)) !== value);
    },
    stop: async () => {
      const exited = once(signals, "exit") as Promise<[number]>;
      signals.emit("SIGTERM");
      const [status] = await exited;
      if (status !== 0) throw new Error(`the server stopped with status ${status}`);
    },
  };
}
