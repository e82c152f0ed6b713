import { Worker } from "node:worker_threads";

import { ArtifactError } from "../../model/errors.ts";
import type { StageModel } from "../../model/stages/stage-spec.ts";
import type { ReaderMessage } from "./artifact-reader.ts";
import type { Device, Stage } from "../device/device.ts";
import { EngineStoppedError, InferenceError } from "../contract/errors.ts";
import type { ExpertDevice, ExpertHandle } from "./expert-device.ts";
import type { BuiltExpert } from "../contract/experts.ts";
import type { StepTimer } from "./step-timer.ts";
import type { Turnstile } from "./turnstile.ts";

/** What sequences run on their middles with. */
export interface MiddleHolder {
  /** @param name that no other has */
  addMiddle(name: string, stages: readonly Stage[]): void;
  /** Takes out one that no sequence is on; its stages are the caller's to dispose. */
  removeMiddle(name: string): void;
}

export interface ExpertLoaderOptions {
  readonly device: Device;
  readonly runner: MiddleHolder;
  readonly timer: StepTimer;
  readonly turnstile: Turnstile;
  /** Called before an expert leaves: nothing may run on it any more. */
  readonly onRelease: (name: string) => void;
  /** @default read and checked in a thread of its own */
  readonly read?: (built: BuiltExpert, signal: AbortSignal) => Promise<readonly StageModel[]>;
}

/**
 * Brings experts from the disk into the runner and takes them out again, segment by segment between the engine's
 * steps: nobody who is being answered waits longer than for one segment.
 */
export class ExpertLoader implements ExpertDevice {
  readonly #options: ExpertLoaderOptions;
  readonly #closing = new AbortController();
  /** Settles, and never rejects, when the load before is over. */
  #previous: Promise<unknown> = Promise.resolve();

  constructor(options: ExpertLoaderOptions) {
    this.#options = options;
  }

  /**
   * One after the other, as an artifact is in memory twice while it is loaded.
   * @throws ArtifactError, InferenceError, EngineStoppedError; nothing of it is kept then.
   */
  async load(built: BuiltExpert, name: string): Promise<ExpertHandle> {
    const handle = this.#previous.then(() => this.#load(built, name));
    this.#previous = handle.catch(() => undefined);
    return handle;
  }

  async #load(built: BuiltExpert, name: string): Promise<ExpertHandle> {
    const { device, runner, timer, turnstile, onRelease, read = readSegments } = this.#options;
    const { signal } = this.#closing;
    const segments = [...(await read(built, signal))];
    const stages: Stage[] = [];
    try {
      // Not held on to: a session has its own copy of the weights.
      for (let segment = segments.shift(); segment; segment = segments.shift()) {
        const model = segment;
        signal.throwIfAborted();
        stages.push(await turnstile.run(() => device.loadStage(model)));
      }
      const cost = await timer.measure(stages);
      signal.throwIfAborted();
      runner.addMiddle(name, stages);
      const release = async () => {
        await turnstile.run(() => {
          onRelease(name);
          runner.removeMiddle(name);
          return Promise.resolve();
        });
        await this.#dispose(stages);
      };
      return { cost, release };
    } catch (error) {
      await this.#dispose(stages);
      throw error;
    }
  }

  /** Gives up what is being loaded. */
  close(): void {
    this.#closing.abort(new EngineStoppedError("The engine was closed."));
  }

  async #dispose(stages: readonly Stage[]): Promise<void> {
    for (const stage of stages) await this.#options.turnstile.run(() => stage.dispose());
  }
}

/** @throws ArtifactError, and the signal's reason */
async function readSegments(
  { storeDir, key }: BuiltExpert,
  signal: AbortSignal,
): Promise<readonly StageModel[]> {
  signal.throwIfAborted();
  const reader = new Worker(new URL("./artifact-reader.js", import.meta.url), {
    name: "artifact",
    workerData: { storeDir, key },
  });
  const ended = new Promise<void>((resolve) => reader.once("exit", () => resolve()));
  const onAbort = () => void reader.terminate();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const message = await new Promise<ReaderMessage>((resolve, reject) => {
      reader.once("message", resolve);
      reader.once("error", (error) =>
        reject(new InferenceError(`Expert ${key} could not be read: ${error.message}`)),
      );
      void ended.then(() => reject(new InferenceError(`Expert ${key} was not read.`)));
    });
    if (message.type === "damaged") throw new ArtifactError(message.path, message.problem);
    return message.segments;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    await ended;
  }
}
