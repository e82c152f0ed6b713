/** Calls back once, unless the function that is returned is called before. */
export type SetTimer = (callback: () => void, delayMs: number) => () => void;

/** The machine's. It does not keep the process alive. */
export const systemTimer: SetTimer = (callback, delayMs) => {
  const timeout = setTimeout(callback, delayMs).unref();
  return () => clearTimeout(timeout);
};
