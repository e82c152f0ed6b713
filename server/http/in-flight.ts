import type { Response } from "express";
import type { SeapError } from "../../model/errors.ts";
import { CancelledError } from "../../engine/contract/errors.ts";
import { createAnswerController } from "./answer-controller.ts";

/** The answers that are being made: what a client's leaving or a shutdown must cancel. */
export class InFlight {
  readonly #controllers = new Set<AbortController>();
  #idle: PromiseWithResolvers | undefined;

  get size(): number {
    return this.#controllers.size;
  }

  /**
   * Counts `res` until it is closed. The controller aborts, with a SeapError as the reason, when the
   * client leaves before the end or `cancelAll` is called.
   */
  begin(res: Response, requestId: string): AbortController {
    const controller = createAnswerController();
    if (res.destroyed) {
      controller.abort(new CancelledError(requestId));
      return controller;
    }
    const end = this.track(controller);
    res.once("close", () => {
      if (!res.writableFinished) controller.abort(new CancelledError(requestId));
      end();
    });
    return controller;
  }

  /** Counts what `controller` can cancel until the function that is returned is called. */
  track(controller: AbortController): () => void {
    this.#controllers.add(controller);
    return () => {
      this.#controllers.delete(controller);
      if (this.size > 0) return;
      this.#idle?.resolve();
      this.#idle = undefined;
    };
  }

  cancelAll(reason: SeapError): void {
    for (const controller of this.#controllers) controller.abort(reason);
  }

  /** Settles when no answer is being made, which may be now. */
  async whenIdle(): Promise<void> {
    if (this.size === 0) return;
    this.#idle ??= withResolvers();
    await this.#idle.promise;
  }
}

interface PromiseWithResolvers {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

function withResolvers(): PromiseWithResolvers {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
