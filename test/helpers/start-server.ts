import { EventEmitter, once } from "node:events";
import type { ExecutionContext } from "ava";
import OpenAI from "openai";
import type { GenerationDefaults } from "../../model/text/generation-defaults.ts";
import { createLog, type LogFormat } from "../../server/base/log.ts";
import type { RouterMap } from "../../router/router-map.ts";
import type { ServedExperts } from "../../server/model/model-service.ts";
import type { Clock } from "../../server/base/clock.ts";
import type { RoutingRule } from "../../server/config/rules.ts";
import type { Tracer } from "../../server/tracing/tracer.ts";
import type { SecurityConfig } from "../../server/security/security.ts";
import { type RunningServer, startServer as start } from "../../server/start-server.ts";
import { FakeCodec } from "./fake-codec.ts";
import { FakeEngine, type Gate } from "./fake-engine.ts";

export interface TestServer extends RunningServer {
  readonly engine: FakeEngine;
  readonly codec: FakeCodec;
  /** The official client, without retries. */
  readonly client: OpenAI;
  readonly logLines: string[];
  /** Stands in for `process`: emit SIGTERM here. */
  readonly signals: EventEmitter;
  /** Exit statuses, in order; each is also emitted as `exit` on `signals`. */
  readonly exits: (number | "killed")[];
  readonly post: (path: string, body: unknown, init?: RequestInit) => Promise<Response>;
  readonly get: (path: string, init?: RequestInit) => Promise<Response>;
  /** Value of one sample of /metrics, by its name and labels as printed. */
  readonly metric: (sample: string) => Promise<number | undefined>;
}

export interface TestServerOptions {
  readonly engine?: FakeEngine;
  readonly names?: readonly [string, ...string[]];
  /** @default none */
  readonly tasks?: readonly string[];
  readonly rules?: readonly RoutingRule[];
  /** @default 2 */
  readonly stickyMargin?: number;
  /** @default 127.0.0.1 */
  readonly host?: string;
  readonly bodyLimit?: number;
  readonly drainTimeoutSeconds?: number;
  readonly keepAliveSeconds?: number;
  readonly receiveTimeoutSeconds?: number;
  readonly slowClientSeconds?: number;
  readonly websocketIdleSeconds?: number;
  /** @default everybody may do everything */
  readonly security?: Partial<SecurityConfig>;
  readonly clock?: Clock;
  /** @default nothing is exported */
  readonly tracer?: Tracer;
  /** @default text */
  readonly logFormat?: LogFormat;
  /** @default none */
  readonly experts?: ServedExperts;
  /** @default none */
  readonly generationDefaults?: GenerationDefaults;
  /** @default none */
  readonly routerMap?: RouterMap;
  /** Holds the loading of the model until it is opened. */
  readonly loading?: Gate;
}

/** Of the model that the engine would have. */
const middle = { firstLayer: 2, layer: { numHeads: 4, numKvHeads: 2, intermediateSize: 8 } };

/** The real server on a free port with a fake engine; stopped when the test ends. */
export async function startServer(
  t: ExecutionContext,
  options: TestServerOptions = {},
): Promise<TestServer> {
  const {
    engine = new FakeEngine(),
    names = ["org/fake", "fake"],
    tasks = [],
    rules = [],
    stickyMargin = 2,
    experts = null,
    routerMap = null,
    generationDefaults = {},
    loading,
  } = options;
  const codec = new FakeCodec();
  const logLines: string[] = [];
  const signals = new EventEmitter();
  const exits: (number | "killed")[] = [];
  const running = await start({
    config: {
      host: options.host ?? "127.0.0.1",
      port: 0,
      bodyLimit: options.bodyLimit ?? 2 ** 20,
      drainTimeoutSeconds: options.drainTimeoutSeconds ?? 60,
      keepAliveSeconds: options.keepAliveSeconds ?? 60,
      receiveTimeoutSeconds: options.receiveTimeoutSeconds ?? 60,
      slowClientSeconds: options.slowClientSeconds ?? 60,
      websocketIdleSeconds: options.websocketIdleSeconds ?? 300,
      metricsOpen: false,
      corsOrigins: [],
      allowedHosts: [],
      ...options.security,
      routing: { rules: [...rules] },
      stickyMargin,
    },
    log: createLog("debug", (line) => logLines.push(line), options.logFormat),
    load: async () => {
      await loading?.opened;
      const close = () => engine.close();
      const served = { names, engine, codec, generationDefaults, tasks, experts, middle };
      return { ...served, routerMap: () => routerMap, close };
    },
    signals,
    exit: (status) => {
      exits.push(status);
      signals.emit("exit");
    },
    kill: () => {
      exits.push("killed");
      signals.emit("exit");
    },
    ...(options.clock && { clock: options.clock }),
    ...(options.tracer && { tracer: options.tracer }),
  });
  const { server, url } = running;
  t.teardown(async () => {
    server.closeAllConnections();
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    await closed;
  });
  if (loading === undefined) await running.loaded;

  const get = (path: string, init?: RequestInit) => fetch(`${url}${path}`, init);
  return {
    ...running,
    engine,
    codec,
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 }),
    logLines,
    signals,
    exits,
    get,
    post: (path, body, init) =>
      fetch(`${url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...init,
      }),
    metric: async (sample) => {
      const text = await (await get("/metrics")).text();
      const line = text.split("\n").find((row) => row.startsWith(`${sample} `));
      return line === undefined ? undefined : Number(line.slice(sample.length + 1));
    },
  };
}

/** The payloads of a server-sent event stream, `[DONE]` included. */
export async function readEvents(response: Response): Promise<string[]> {
  const text = await response.text();
  return text
    .split("\n\n")
    .map((block) => block.replace(/^event: .*\n/, ""))
    .filter((block) => block.startsWith("data: "))
    .map((block) => block.slice("data: ".length));
}
