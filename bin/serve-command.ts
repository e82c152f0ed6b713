import type { Command } from "./command-line.ts";
import { type Config, parseConfig } from "../server/config/config.ts";
import type { SignalSource } from "../server/lifecycle.ts";
import { createLog, type Log } from "../server/base/log.ts";
import type { LoadedModel } from "../server/model/model-service.ts";
import { serveHelp } from "./serve-help.ts";
import { startServer } from "../server/start-server.ts";
import { noTracer, type Tracer } from "../server/tracing/tracer.ts";

export interface ServeDependencies {
  readonly load: (
    config: Config,
    log: Log,
    onProgress: (text: string) => void,
  ) => Promise<LoadedModel>;
  readonly signals: SignalSource;
  readonly exit: (status: number) => void;
  readonly kill: () => void;
}

/** `seap serve`: runs until a signal ends it. When the model cannot be loaded it fails. */
export function serveCommand({ load, signals, exit, kill }: ServeDependencies): Command {
  return {
    summary: "serve a model over HTTP",
    async run(args, io) {
      if (args.includes("--help") || args.includes("-h")) {
        io.stdout(serveHelp());
        return;
      }
      const { config, warnings } = parseConfig({ args, env: io.env });
      const log = createLog(config.logLevel, (line) => io.stderr(line), config.logFormat);
      for (const warning of warnings) log.warn(warning);
      const running = await startServer({
        config,
        log,
        load: (onProgress) => load(config, log, onProgress),
        signals,
        exit,
        kill,
        tracer: await openTracer(config, log),
      });
      try {
        await running.loaded;
      } catch (error) {
        running.server.close();
        running.server.closeAllConnections();
        throw error;
      }
    },
  };
}

async function openTracer({ otlpEndpoint }: Config, log: Log): Promise<Tracer> {
  if (otlpEndpoint === undefined) return noTracer;
  // Only here: OpenTelemetry's packages are many.
  const { OtlpTracer } = await import("../server/tracing/otlp-tracer.ts");
  log.info("exporting traces", { endpoint: otlpEndpoint });
  return new OtlpTracer(otlpEndpoint, log);
}
