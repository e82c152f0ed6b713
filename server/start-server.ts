import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Registry } from "prom-client";
import { createApp } from "./app.ts";
import type { Config } from "./config.ts";
import { ListenError } from "./errors.ts";
import { InFlight } from "./in-flight.ts";
import { exitOnSignal, type SignalSource } from "./lifecycle.ts";
import type { Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { type LoadedModel, ModelService } from "./model-service.ts";
import { RequestRouting } from "./routing/request-routing.ts";

/** Longer than the 60 s after which usual load balancers drop an idle connection, so that they go first. */
const idleConnectionMs = 75_000;

export interface StartOptions {
  readonly config: Pick<
    Config,
    | "host"
    | "port"
    | "bodyLimit"
    | "drainTimeoutSeconds"
    | "keepAliveSeconds"
    | "routing"
    | "stickyMargin"
  >;
  readonly log: Log;
  readonly load: () => Promise<LoadedModel>;
  readonly signals: SignalSource;
  readonly exit: (status: number) => void;
}

export interface RunningServer {
  readonly server: Server;
  readonly url: string;
  /** Settles when the model may be used. */
  readonly loaded: Promise<void>;
}

/**
 * Listens first and loads the model then: until it is there, all but /health and /metrics say so with 503.
 * @throws ListenError when the address cannot be had; nothing is loaded then.
 */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { config, log, load, signals, exit } = options;
  const service = new ModelService();
  const inFlight = new InFlight();
  const metrics = new Metrics({
    registry: new Registry(),
    modelName: () => service.loaded?.names[0],
    stats: () => service.loaded?.engine.stats(),
  });
  const app = createApp({
    service,
    inFlight,
    metrics,
    log,
    bodyLimitBytes: config.bodyLimit,
    keepAliveMs: config.keepAliveSeconds * 1000,
    randomSeed: () => randomInt(2 ** 32),
    routing: new RequestRouting({
      rules: config.routing.rules,
      stickyMargin: config.stickyMargin,
      nowMs: () => performance.now(),
    }),
  });
  const server = createServer({ keepAliveTimeout: idleConnectionMs }, app);
  const url = await listen(server, config.host, config.port);
  log.info("listening", { url });
  exitOnSignal({
    server,
    service,
    inFlight,
    drainTimeoutMs: config.drainTimeoutSeconds * 1000,
    log,
    signals,
    exit,
  });
  const loaded = load().then((model) => {
    service.setLoaded(model);
  });
  return { server, url, loaded };
}

async function listen(server: Server, host: string, port: number): Promise<string> {
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    throw new ListenError(host, port, error as Error);
  }
  const { address, family, port: actual } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${actual}`;
}
