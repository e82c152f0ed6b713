/** Time as the server sees it, so that tests can make it pass. */
export interface Clock {
  /** Milliseconds on a steady clock. */
  nowMs(): number;
  /** Calls back again and again until the function that is returned is called; does not keep the process alive. */
  every(periodMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  every(periodMs, callback) {
    const timer = setInterval(callback, periodMs).unref();
    return () => clearInterval(timer);
  },
};
