import type { SetTimer } from "../contract/timer.ts";

export interface WatchdogOptions {
  /** How long an answer may take. */
  readonly timeoutMs: number;
  readonly setTimer: SetTimer;
  /** Asks for a sign of life, which `answered` tells of. */
  readonly ask: () => void;
  /** Called once, when none has come. */
  readonly onSilence: () => void;
}

/** Turns that an answer may take. */
const maxTurns = 10;

/**
 * Asks another thread again and again whether it is alive. Turns of this thread are counted, not time: a machine that
 * was suspended, or one where this thread got no turn either, raises no alarm.
 */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #numTurns = 0;
  #cancelTimer: () => void = () => undefined;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#wait();
  }

  answered(): void {
    this.#numTurns = 0;
  }

  stop(): void {
    this.#cancelTimer();
  }

  #wait(): void {
    const { timeoutMs, setTimer } = this.#options;
    this.#cancelTimer = setTimer(() => this.#turn(), timeoutMs / maxTurns);
  }

  #turn(): void {
    if (this.#numTurns === maxTurns) return this.#options.onSilence();
    if (this.#numTurns++ === 0) this.#options.ask();
    this.#wait();
  }
}
