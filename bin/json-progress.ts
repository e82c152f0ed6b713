import type { Progress } from "./progress-bar.ts";

/** What a line of {@link JsonProgress} is. */
export type ProgressLine =
  /** What is being done, and how much of it, 0 to 1. */
  | { readonly phase: string; readonly share: number }
  /** For a person. */
  | { readonly line: string };

/** Between two lines on the same phase. */
const lineMs = 250;

/** Tells another program how far work is: a JSON object a line. */
export class JsonProgress implements Progress {
  readonly #write: (text: string) => void;
  readonly #now: () => number;
  #phase = "";
  #shownAt = -Infinity;

  /** @param now milliseconds on a steady clock */
  constructor(write: (text: string) => void, now: () => number = () => performance.now()) {
    this.#write = write;
    this.#now = now;
  }

  report(phase: string, done: number, total: number): void {
    if (phase === this.#phase && this.#now() - this.#shownAt < lineMs) return;
    this.#phase = phase;
    this.#shownAt = this.#now();
    this.#print({ phase, share: Math.min(1, done / total) });
  }

  line(text: string): void {
    this.#print({ line: text });
  }

  end(): void {
    this.#phase = "";
  }

  #print(line: ProgressLine): void {
    this.#write(`${JSON.stringify(line)}\n`);
  }
}
