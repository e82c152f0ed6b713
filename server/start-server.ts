import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Registry } from "prom-client";
import { createApp } from "./app.ts";
import { createBackground } from "./structured/compile-tasks.ts";
import { type Clock, systemClock } from "./base/clock.ts";
import type { Config } from "./config/config.ts";
import { ListenError } from "./base/errors.ts";
import type { ExpertMetricsSource } from "./metrics/expert-samples.ts";
import { InFlight } from "./http/in-flight.ts";
import { exitOnFailure, exitOnSignal, type SignalSource } from "./lifecycle.ts";
import type { Log } from "./base/log.ts";
import { Metrics } from "./metrics/metrics.ts";
import { type LoadedModel, ModelService } from "./model/model-service.ts";
import { RequestRouting } from "./routing/request-routing.ts";
import { guardConnections } from "./security/connections.ts";
import { createSecurity, isLoopback, type SecurityConfig } from "./security/security.ts";
import { GrammarCompiler } from "./structured/grammar-compiler.ts";
import { UnenforcedParts } from "./structured/unenforced.ts";
import { noTracer, type Tracer } from "./tracing/tracer.ts";
import { UnknownFields } from "./parameters/unknown-fields.ts";
import { fixedLimits } from "./websocket/limits.ts";
import { acceptWebSockets, WebSocketAwareRequest } from "./websocket/upgrade.ts";

/** Longer than the 60 s after which usual load balancers drop an idle connection, so that they go first. */
const idleConnectionMs = 75_000;

/** Headers are small, however slow the line is. */
const maxHeadersMs = 10_000;

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
    | "receiveTimeoutSeconds"
    | "slowClientSeconds"
    | "websocketIdleSeconds"
    | keyof SecurityConfig
  >;
  readonly log: Log;
  /** @param onProgress to be told what is being done, for a person */
  readonly load: (onProgress: (text: string) => void) => Promise<LoadedModel>;
  readonly signals: SignalSource;
  readonly exit: (status: number) => void;
  /** Ends the process, not with 0, though a thread hangs in native code, which `exit` would wait for. */
  readonly kill: () => void;
  /** @default the machine's */
  readonly clock?: Clock;
  /** Closed with the server. @default nothing is exported */
  readonly tracer?: Tracer;
}

export interface RunningServer {
  readonly server: Server;
  readonly url: string;
  /** Settles when the model may be used. */
  readonly loaded: Promise<void>;
}

/**
 * Listens first and loads the model then: until it is there, all but /health and /metrics say so with 503.
 * @throws ConfigError when the file of keys cannot be used.
 * @throws ListenError when the address cannot be had; nothing is loaded then.
 */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const {
    config,
    log,
    load,
    signals,
    exit,
    kill,
    clock = systemClock,
    tracer = noTracer,
  } = options;
  const nowMs = () => clock.nowMs();
  const security = createSecurity(config, nowMs);
  const service = new ModelService();
  const inFlight = new InFlight();
  const background = createBackground();
  const metrics = new Metrics({
    registry: new Registry(),
    modelName: () => service.loaded?.names[0],
    stats: () => service.loaded?.engine.stats(),
    isUp: () => service.loaded && service.loaded.engine.problem === null,
    enginesUp: () => service.loaded?.engine.enginesUp,
    webSockets: () => webSockets.size,
    experts: () => expertMetrics(service.loaded),
  });
  const context = {
    service,
    inFlight,
    metrics,
    log,
    tracer,
    unknownFields: new UnknownFields(),
    security,
    grammars: new GrammarCompiler(background),
    unenforcedParts: new UnenforcedParts(),
    keepAliveMs: config.keepAliveSeconds * 1000,
    randomSeed: () => randomInt(2 ** 32),
    routing: new RequestRouting({
      rules: config.routing.rules,
      stickyMargin: config.stickyMargin,
      nowMs,
    }),
  };
  const receiveTimeoutMs = Math.ceil(config.receiveTimeoutSeconds * 1000);
  const server = createServer(
    {
      IncomingMessage: WebSocketAwareRequest,
      keepAliveTimeout: idleConnectionMs,
      requestTimeout: receiveTimeoutMs,
      headersTimeout: Math.min(maxHeadersMs, receiveTimeoutMs),
      connectionsCheckingInterval: Math.min(1000, receiveTimeoutMs),
    },
    createApp({ ...context, bodyLimitBytes: config.bodyLimit }),
  );
  const slowClientMs = config.slowClientSeconds * 1000;
  guardConnections(server, { slowClientMs, log, metrics });
  const webSockets = acceptWebSockets(server, {
    ...context,
    clock,
    limits: {
      ...fixedLimits,
      maxMessageBytes: config.bodyLimit,
      slowClientMs,
      idleMs: config.websocketIdleSeconds * 1000,
    },
  });
  const url = await listen(server, config.host, config.port);
  log.info("listening", { url, keys: security.keys.areRequired ? "required" : "none" });
  if (!security.keys.areRequired && !isLoopback(config.host)) {
    log.warn("others can reach this server, and it asks for no key: see --api-key-file", { url });
  }
  const lifecycle = {
    server,
    service,
    inFlight,
    webSockets,
    background,
    drainTimeoutMs: config.drainTimeoutSeconds * 1000,
    tracer,
    log,
    signals,
    exit,
    kill,
  };
  exitOnSignal(lifecycle);
  const loaded = load((text) => service.setProgress(text)).then((model) => {
    model.engine.observeSteps((report, seconds) => {
      metrics.recordSteps(report, seconds);
      tracer.recordSteps(report);
    });
    service.setLoaded(model);
    void exitOnFailure(lifecycle, model.engine);
  });
  return { server, url, loaded };
}

function expertMetrics(model: LoadedModel | undefined): ExpertMetricsSource | undefined {
  if (model === undefined || model.experts === null) return undefined;
  return { ...model.experts, snapshots: model.engine.experts(), modelName: model.names[0] };
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
