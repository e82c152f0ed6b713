import type { SpanExporter } from "@opentelemetry/sdk-trace-base";
import type { Log } from "../base/log.ts";

/** An exporter that logs when the collector cannot be reached, and when it can be again: two lines, however long. */
export class ReportingExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #log: Log;
  #isFailing = false;

  constructor(exporter: SpanExporter, log: Log) {
    this.#exporter = exporter;
    this.#log = log;
  }

  export(...[spans, done]: Parameters<SpanExporter["export"]>): void {
    this.#exporter.export(spans, (result) => {
      const { error } = result;
      const isFailing = error !== undefined;
      if (isFailing && !this.#isFailing) {
        this.#log.warn("traces are not exported", { error: error.message });
      } else if (!isFailing && this.#isFailing) {
        this.#log.info("traces are exported again");
      }
      this.#isFailing = isFailing;
      // What is lost is lost; the caller would write to the console.
      done({ code: 0 });
    });
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }
}
