import type { Server } from "node:http";
import type { BackgroundTasks } from "./background/tasks.ts";
import { ServerStoppingError } from "./errors.ts";
import type { InFlight } from "./in-flight.ts";
import type { Log } from "./log.ts";
import type { ModelService } from "./model-service.ts";
import type { Tracer } from "./tracing/tracer.ts";
import type { WebSocketHub } from "./websocket/hub.ts";

const stopSignals = ["SIGTERM", "SIGINT"] as const;

/** `process`, or a stand-in for it. */
export interface SignalSource {
  on(signal: (typeof stopSignals)[number], listener: () => void): unknown;
}

export interface LifecycleOptions {
  readonly server: Server;
  readonly service: ModelService;
  readonly inFlight: InFlight;
  readonly webSockets: Pick<WebSocketHub, "stop" | "closed">;
  readonly background: Pick<BackgroundTasks, "close">;
  readonly drainTimeoutMs: number;
  readonly tracer: Pick<Tracer, "close">;
  readonly log: Log;
  readonly signals: SignalSource;
  readonly exit: (status: number) => void;
}

/**
 * On the first SIGTERM or SIGINT: unready, wait for the running requests, cancel those that outlast the drain timeout,
 * close the engine, exit with 0. New requests are told 503 until then: a port that was closed would cut off those that
 * are on their way. A second signal exits at once, with 1.
 */
export function exitOnSignal(options: LifecycleOptions): void {
  const { signals, exit, log } = options;
  let isStopping = false;
  const onSignal = () => {
    if (isStopping) {
      log.warn("second signal: exiting at once");
      exit(1);
      return;
    }
    isStopping = true;
    void drain(options).then(
      () => exit(0),
      (error: unknown) => {
        log.error("shutdown failed", { error: String(error) });
        exit(1);
      },
    );
  };
  for (const signal of stopSignals) signals.on(signal, onSignal);
}

/** What a cancelled response gets to reach a client that reads slowly. */
const cancelGraceMs = 1000;

async function drain(options: LifecycleOptions) {
  const { server, service, inFlight, webSockets, drainTimeoutMs, log } = options;
  log.info("stopping", { running: inFlight.size, drainTimeoutMs });
  service.stop();
  webSockets.stop();
  const cancelTimer = setTimeout(() => {
    log.warn("drain timeout: cancelling requests", { running: inFlight.size });
    inFlight.cancelAll(new ServerStoppingError());
  }, drainTimeoutMs);
  const cutTimer = setTimeout(() => server.closeAllConnections(), drainTimeoutMs + cancelGraceMs);
  await inFlight.whenIdle();
  clearTimeout(cancelTimer);
  clearTimeout(cutTimer);
  await webSockets.closed();
  server.close();
  server.closeAllConnections();
  await service.loaded?.close();
  await options.background.close();
  await options.tracer.close();
  log.info("stopped");
}
