import type { SetTimer } from "../contract/timer.ts";

export interface WithinTimeOptions {
  readonly timeoutMs: number;
  readonly setTimer: SetTimer;
  /** What is thrown when it takes longer. */
  readonly onTimeout: () => Error;
}

/** Settles as the promise does, if that does in time. */
export async function settleWithin<Result>(
  promise: Promise<Result>,
  { timeoutMs, setTimer, onTimeout }: WithinTimeOptions,
): Promise<Result> {
  let cancel = (): void => undefined;
  const timeout = new Promise<never>((_, reject) => {
    cancel = setTimer(() => reject(onTimeout()), timeoutMs);
  });
  return Promise.race([promise, timeout]).finally(cancel);
}
