import type { SourceProgress } from "../../model/source/source-options.ts";
import type { Log } from "../base/log.ts";

const INTERVAL_MS = 1000;

/** Logs a download once a second and when its phase changes. */
export class DownloadProgress {
  readonly #log: Log;
  #phase = "";
  #lastAt = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  report({ phase, receivedBytes, totalBytes }: SourceProgress): void {
    const now = performance.now();
    if (phase === this.#phase && now - this.#lastAt < INTERVAL_MS) return;
    this.#phase = phase;
    this.#lastAt = now;
    const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
    const received = receivedBytes > 0 ? ` ${megabytes(receivedBytes)}` : "";
    const total = totalBytes ? ` of ${megabytes(totalBytes)}` : "";
    this.#log.info(`${phase}${received}${total}`);
  }
}
