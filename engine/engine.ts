import { Worker } from "node:worker_threads";

import { ModelLoadError } from "../model/errors.ts";
import {
  CancelledError,
  EngineStoppedError,
  InferenceError,
  OverloadedError,
  RouterLoadError,
} from "./errors.ts";
import { EventQueue } from "./event-queue.ts";
import type {
  Engine,
  EngineLimits,
  EngineStats,
  GenerateEvent,
  GenerateRequest,
} from "./request.ts";
import type { FromWorker, ToWorker, WorkerOptions, WorkerOutput } from "./worker-protocol.ts";

export interface EngineOptions extends WorkerOptions {
  readonly vocabSize: number;
  /** Requests that may wait. */
  readonly maxWaitingRequests: number;
  /** Prompt tokens that may wait, of all waiting requests together. */
  readonly maxWaitingTokens: number;
  /** Called with a line for a person while the model loads. */
  readonly onProgress?: (text: string) => void;
  /** Module that calls `runWorker`. @default one that knows no routers */
  readonly worker?: URL;
}

interface Settle {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface InFlight {
  readonly queue: EventQueue<GenerateEvent>;
  readonly numPromptTokens: number;
  hasStarted: boolean;
}

/**
 * Starts the engine's worker and waits until the model is loaded.
 * @throws ModelLoadError
 */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const { onProgress, vocabSize, maxWaitingRequests, maxWaitingTokens, ...rest } = options;
  const { worker: entry = new URL("./worker.js", import.meta.url), ...workerData } = rest;
  const worker = new Worker(entry, {
    name: "engine",
    workerData: workerData satisfies WorkerOptions,
  });
  await new Promise<void>((resolve, reject) => {
    const fail = (problem: string) => reject(new ModelLoadError(options.modelPath, problem));
    const onExit = (code: number) => fail(`the engine's worker ended with code ${code}`);
    const onError = (error: Error) => fail(`the engine's worker failed: ${error.message}`);
    const onMessage = (message: FromWorker) => {
      if (message.type === "progress") onProgress?.(message.text);
      else if (message.type === "load_failed") fail(message.message);
      else if (message.type === "ready") resolve();
      else return;
      if (message.type === "progress") return;
      worker.off("exit", onExit).off("error", onError).off("message", onMessage);
    };
    worker.on("exit", onExit).on("error", onError).on("message", onMessage);
  });
  const { contextLength, maxBatch } = options;
  const limits = { contextLength, vocabSize, maxBatch, maxWaitingRequests };
  return new WorkerEngine(worker, limits, maxWaitingTokens);
}

class WorkerEngine implements Engine {
  readonly limits: EngineLimits;
  readonly #worker: Worker;
  readonly #maxWaitingTokens: number;
  readonly #inFlight = new Map<string, InFlight>();
  /** Routers that the worker is reading, in order. */
  readonly #routers: Settle[] = [];
  readonly #exited: Promise<void>;
  #kvCacheUsage = 0;
  #stopped: EngineStoppedError | null = null;

  constructor(worker: Worker, limits: EngineLimits, maxWaitingTokens: number) {
    this.limits = limits;
    this.#maxWaitingTokens = maxWaitingTokens;
    this.#worker = worker;
    worker.on("message", (message: FromWorker) => {
      if (message.type === "router_used") this.#routers.shift()?.resolve();
      if (message.type === "router_failed") {
        this.#routers.shift()?.reject(new RouterLoadError(message.message));
      }
      if (message.type !== "outputs") return;
      this.#kvCacheUsage = message.kvCacheUsage;
      for (const output of message.outputs) this.#deliver(output);
    });
    worker.on("error", (error) => this.#stop(`The engine's worker failed: ${error.message}`));
    this.#exited = new Promise((resolve) => {
      worker.on("exit", () => {
        this.#stop("The engine has stopped.");
        resolve();
      });
    });
  }

  stats(): EngineStats {
    let [runningRequests, waitingRequests, waitingTokens] = [0, 0, 0];
    for (const { hasStarted, numPromptTokens } of this.#inFlight.values()) {
      if (hasStarted) {
        runningRequests++;
      } else {
        waitingRequests++;
        waitingTokens += numPromptTokens;
      }
    }
    const kvCacheUsage = runningRequests === 0 ? 0 : this.#kvCacheUsage;
    return { runningRequests, waitingRequests, waitingTokens, kvCacheUsage };
  }

  async *generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void> {
    if (this.#stopped) throw this.#stopped;
    if (signal?.aborted) throw new CancelledError(request.id);
    this.#admit(request);
    const queue = new EventQueue<GenerateEvent>();
    const numPromptTokens = request.promptTokenIds.length;
    this.#inFlight.set(request.id, { queue, numPromptTokens, hasStarted: false });
    this.#send({ type: "generate", request });
    const onAbort = () => {
      this.#cancel(request.id);
      queue.fail(new CancelledError(request.id));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      yield { type: "accepted" };
      yield* queue;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#cancel(request.id);
    }
  }

  async useRouter(path: string): Promise<void> {
    if (this.#stopped) throw this.#stopped;
    const settled = new Promise<void>((resolve, reject) => {
      this.#routers.push({ resolve, reject });
    });
    this.#send({ type: "use_router", path });
    await settled;
  }

  async close(): Promise<void> {
    this.#stop("The engine was closed.");
    this.#send({ type: "close" });
    await this.#exited;
  }

  /** Counts what this thread has sent and not yet seen start, so no burst slips through. */
  #admit(request: GenerateRequest): void {
    const { waitingRequests, waitingTokens, runningRequests } = this.stats();
    const { maxBatch, maxWaitingRequests } = this.limits;
    const free = Math.max(0, maxBatch - runningRequests);
    const isFull =
      waitingRequests >= maxWaitingRequests + free ||
      (waitingRequests > 0 &&
        waitingTokens + request.promptTokenIds.length > this.#maxWaitingTokens);
    if (isFull) throw new OverloadedError(waitingRequests, 1);
  }

  #deliver(output: WorkerOutput): void {
    const inFlight = this.#inFlight.get(output.id);
    if (!inFlight) return;
    if ("error" in output) {
      this.#inFlight.delete(output.id);
      const { code, message } = output.error;
      const cancelled = code === "cancelled";
      inFlight.queue.fail(cancelled ? new CancelledError(output.id) : new InferenceError(message));
    } else if (output.event.type === "started") {
      inFlight.hasStarted = true;
    } else {
      inFlight.queue.push(output.event);
      if (output.event.type !== "finish") return;
      this.#inFlight.delete(output.id);
      inFlight.queue.end();
    }
  }

  #cancel(id: string): void {
    if (this.#inFlight.delete(id)) this.#send({ type: "cancel", id });
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #stop(reason: string): void {
    this.#stopped ??= new EngineStoppedError(reason);
    for (const { queue } of this.#inFlight.values()) queue.fail(this.#stopped);
    this.#inFlight.clear();
    for (const { reject } of this.#routers.splice(0)) reject(this.#stopped);
  }
}
