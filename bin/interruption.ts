import { SeapError } from "../model/errors.ts";

/** The user has ended a command; what it had finished is kept. Its exit status is 130. */
export class InterruptedError extends SeapError {
  readonly code = "interrupted";
}

/** `process`, or a stand-in for it. */
export interface InterruptSource {
  on(signal: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  off(signal: "SIGINT" | "SIGTERM", listener: () => void): unknown;
}

/**
 * Runs work that the first SIGINT or SIGTERM ends through its signal, with an {@link InterruptedError}. A
 * second one ends the process, as if nobody listened.
 * @param message of the error: what becomes of the work that was done
 */
export async function interruptible<T>(
  signals: InterruptSource,
  message: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const stopListening = () => {
    signals.off("SIGINT", interrupt);
    signals.off("SIGTERM", interrupt);
  };
  const interrupt = () => {
    stopListening();
    controller.abort(new InterruptedError(message));
  };
  signals.on("SIGINT", interrupt);
  signals.on("SIGTERM", interrupt);
  try {
    return await work(controller.signal);
  } finally {
    stopListening();
  }
}
