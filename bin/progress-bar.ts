/** Where progress goes. */
export interface ProgressOutput {
  readonly write: (text: string) => void;
  /** A terminal, where a line can be drawn over. */
  readonly isTty: boolean;
  /** Milliseconds on a steady clock. @default performance.now */
  readonly now?: () => number;
}

/** Shows a person or a program how far work is. One piece of work at a time; another label begins the next. */
export interface Progress {
  /** @param total more than 0; `done` is in the same unit */
  report(label: string, done: number, total: number): void;
  /** Tells something that has happened. */
  line(text: string): void;
  /** The work is over; may be called twice. */
  end(): void;
}

/** Between two drawings on a terminal, and between two lines elsewhere. */
const redrawMs = 100;
const lineMs = 5000;
const barWidth = 24;
const clearLine = "\r\x1b[K";

/** A bar on a terminal, elsewhere a line every five seconds. */
export class ProgressBar implements Progress {
  readonly #output: ProgressOutput;
  readonly #now: () => number;
  #label = "";
  #startedAt = 0;
  /** Done when the label was first seen: what a run that goes on had before it. */
  #startedWith = 0;
  #shownAt = 0;
  #isDrawn = false;

  constructor(output: ProgressOutput) {
    this.#output = output;
    this.#now = output.now ?? (() => performance.now());
  }

  report(label: string, done: number, total: number): void {
    const now = this.#now();
    if (label !== this.#label) {
      this.#label = label;
      [this.#startedAt, this.#startedWith] = [now, done];
      // On a terminal at once, elsewhere only what takes long.
      this.#shownAt = this.#output.isTty ? -Infinity : now;
    }
    if (now - this.#shownAt < (this.#output.isTty ? redrawMs : lineMs)) return;
    this.#shownAt = now;
    const share = Math.min(1, done / total);
    const status = `${String(Math.floor(share * 100)).padStart(3)} %${this.#left(now, done, total)}`;
    if (!this.#output.isTty) {
      this.#output.write(`${label}: ${status.trimStart()}\n`);
      return;
    }
    const filled = Math.round(share * barWidth);
    const bar = "#".repeat(filled) + "-".repeat(barWidth - filled);
    this.#output.write(`${clearLine}${label} [${bar}] ${status}`);
    this.#isDrawn = true;
  }

  /** Writes a line that stays. */
  line(text: string): void {
    this.#clear();
    this.#output.write(`${text}\n`);
  }

  /** Takes the bar away; may be called twice. */
  end(): void {
    this.#clear();
    this.#label = "";
  }

  #clear(): void {
    if (this.#isDrawn) this.#output.write(clearLine);
    this.#isDrawn = false;
  }

  #left(now: number, done: number, total: number): string {
    const rate = (done - this.#startedWith) / (now - this.#startedAt);
    if (!(rate > 0) || done >= total) return "";
    const seconds = Math.ceil((total - done) / rate / 1000);
    return `, ${seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`} left`;
  }
}
