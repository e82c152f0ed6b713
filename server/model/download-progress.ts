import type { SourceProgress } from "../../model/source/source-options.ts";

const INTERVAL_MS = 1000;

/** Tells of a download once a second and when its phase changes. */
export class DownloadProgress {
  readonly #tell: (text: string) => void;
  #phase = "";
  #lastAt = 0;

  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  report({ phase, receivedBytes, totalBytes }: SourceProgress): void {
    const now = performance.now();
    if (phase === this.#phase && now - this.#lastAt < INTERVAL_MS) return;
    this.#phase = phase;
    this.#lastAt = now;
    const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
    const received = receivedBytes > 0 ? ` ${megabytes(receivedBytes)}` : "";
    const total = totalBytes ? ` of ${megabytes(totalBytes)}` : "";
    this.#tell(`${phase}${received}${total}`);
  }
}
