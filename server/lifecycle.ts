import type { Server } from "node:http";
import { EngineHungError } from "../engine/contract/errors.ts";
import type { Engine } from "../engine/contract/request.ts";
import type { BackgroundTasks } from "./structured/compile-tasks.ts";
import { ServerStoppingError } from "./base/errors.ts";
import type { InFlight } from "./http/in-flight.ts";
import type { Log } from "./base/log.ts";
import type { ModelService } from "./model/model-service.ts";
import type { Tracer } from "./tracing/tracer.ts";
import type { WebSocketHub } from "./websocket/hub.ts";

const stopSignals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

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
  /** Ends the process, not with 0, though a thread hangs in native code, which `exit` would wait for. */
  readonly kill: () => void;
}

/**
 * On the first SIGTERM, SIGINT or SIGHUP: unready, wait for the running requests, cancel those that outlast the drain
 * timeout, close the engine, exit with 0. New requests are told 503 until then: a port that was closed would cut off those
 * that are on their way. A second signal exits at once, with 1; not SIGHUP, which comes twice when a terminal is closed.
 */
export function exitOnSignal(options: LifecycleOptions): void {
  const { signals, exit, kill, log } = options;
  let numSignals = 0;
  const onSignal = () => {
    numSignals++;
    if (numSignals > 2) return kill();
    if (numSignals === 2) {
      log.warn("second signal: exiting at once");
      void closeAtOnce(options);
      return;
    }
    void drain(options).then(
      () => exit(numSignals > 1 ? 1 : 0),
      (error: unknown) => {
        log.error("shutdown failed", { error: String(error) });
        endAfter(error, options);
      },
    );
  };
  for (const signal of stopSignals) {
    signals.on(signal, () => {
      if (signal !== "SIGHUP" || numSignals === 0) onSignal();
    });
  }
}

/** What the step gets that the engine is at: a process that exits during a forward pass aborts in native code. */
const stepGraceMs = 5000;

async function closeAtOnce({ service, exit, kill }: LifecycleOptions): Promise<void> {
  const timer = setTimeout(kill, stepGraceMs);
  await service.loaded?.close().catch(() => undefined);
  clearTimeout(timer);
  exit(1);
}

/**
 * When the engine will not come back: unready, and an exit with 1 once the errors of the requests that it had are on
 * their way, so that systemd or Kubernetes starts the process anew.
 */
export async function exitOnFailure(options: LifecycleOptions, engine: Engine): Promise<void> {
  const { service, inFlight, webSockets, log } = options;
  const error = await engine.failed;
  if (service.isStopping) return;
  service.stop();
  log.error("the engine does not come back: exiting", { error: error.message });
  const written = inFlight.whenIdle();
  const grace = new Promise((resolve) => setTimeout(resolve, cancelGraceMs));
  await Promise.race([written, grace]);
  webSockets.stop();
  const flushed = [options.background.close(), options.tracer.close()];
  await Promise.allSettled(flushed);
  endAfter(error, options);
}

function endAfter(error: unknown, { exit, kill }: LifecycleOptions): void {
  if (error instanceof EngineHungError) kill();
  else exit(1);
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
  try {
    await service.loaded?.close();
  } finally {
    await options.background.close();
    await options.tracer.close();
  }
  log.info("stopped");
}
