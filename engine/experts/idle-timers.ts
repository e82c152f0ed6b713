import type { SetTimer } from "../contract/timer.ts";

export interface IdleTimersOptions<Item> {
  /** Milliseconds without use; null for never. */
  readonly idleMs: number | null;
  readonly setTimer: SetTimer;
  readonly onIdle: (item: Item) => void;
}

/** Tells of what nobody has used for some time. */
export class IdleTimers<Item> {
  readonly #options: IdleTimersOptions<Item>;
  readonly #cancels = new Map<Item, () => void>();

  constructor(options: IdleTimersOptions<Item>) {
    this.#options = options;
  }

  /** It is not used from now on. */
  start(item: Item): void {
    const { idleMs, setTimer, onIdle } = this.#options;
    if (idleMs === null) return;
    this.cancel(item);
    this.#cancels.set(
      item,
      setTimer(() => onIdle(item), idleMs),
    );
  }

  cancel(item: Item): void {
    this.#cancels.get(item)?.();
    this.#cancels.delete(item);
  }
}
