import { Worker } from "node:worker_threads";

import { ModelLoadError } from "../model/errors.ts";
import { BuilderHost } from "./builder-host.ts";
import {
  CancelledError,
  EngineStoppedError,
  ExpertCommandError,
  InferenceError,
  NoTokenLeftError,
  OverloadedError,
  RouterLoadError,
} from "./errors.ts";
import { EventQueue } from "./event-queue.ts";
import type { ExpertBuilder, ExpertOptions, ExpertSnapshot } from "./experts.ts";
import type {
  Engine,
  EngineLimits,
  EngineStats,
  ExpertCommand,
  GenerateEvent,
  GenerateRequest,
  StepObserver,
} from "./request.ts";
import { steadySeconds } from "./steady-clock.ts";
import type { StepReport } from "./step-meter.ts";
import type { FromWorker, ToWorker, WorkerOptions, WorkerOutput } from "./worker-protocol.ts";

export interface EngineOptions extends Omit<WorkerOptions, "experts"> {
  readonly vocabSize: number;
  /** Requests that may wait. */
  readonly maxWaitingRequests: number;
  /** Prompt tokens that may wait, of all waiting requests together. */
  readonly maxWaitingTokens: number;
  /** The builder works in this thread. Absent where the dense model answers everything. */
  readonly experts?: { readonly options: ExpertOptions; readonly builder: ExpertBuilder };
  /** Called with a line for a person while the model loads, and when something happens to an expert. */
  readonly onProgress?: (text: string) => void;
  /** Module that calls `runWorker`. @default one that knows no routers */
  readonly worker?: URL;
}

interface Settle<Result> {
  readonly resolve: (result: Result) => void;
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
  const {
    onProgress = () => undefined,
    vocabSize,
    maxWaitingRequests,
    maxWaitingTokens,
    experts,
    worker: entry = new URL("./worker.js", import.meta.url),
    ...rest
  } = options;
  const workerData: WorkerOptions = { ...rest, ...(experts && { experts: experts.options }) };
  const worker = new Worker(entry, { name: "engine", workerData });
  const { contextLength, maxBatch } = options;
  const engine = new WorkerEngine(worker, {
    limits: { contextLength, vocabSize, maxBatch, maxWaitingRequests },
    maxWaitingTokens,
    builder: experts?.builder ?? null,
    onProgress,
  });
  await new Promise<void>((resolve, reject) => {
    const fail = (problem: string) => reject(new ModelLoadError(options.modelPath, problem));
    const onExit = (code: number) => fail(`the engine's worker ended with code ${code}`);
    const onError = (error: Error) => fail(`the engine's worker failed: ${error.message}`);
    const onMessage = (message: FromWorker) => {
      if (message.type === "load_failed") fail(message.message);
      else if (message.type === "ready") resolve();
      else return;
      worker.off("exit", onExit).off("error", onError).off("message", onMessage);
    };
    worker.on("exit", onExit).on("error", onError).on("message", onMessage);
  });
  return engine;
}

interface WorkerEngineOptions {
  readonly limits: EngineLimits;
  readonly maxWaitingTokens: number;
  readonly builder: ExpertBuilder | null;
  readonly onProgress: (text: string) => void;
}

class WorkerEngine implements Engine {
  readonly limits: EngineLimits;
  readonly #worker: Worker;
  readonly #maxWaitingTokens: number;
  readonly #inFlight = new Map<string, InFlight>();
  /** Routers that the worker is reading, in order. */
  readonly #routers: Settle<void>[] = [];
  readonly #commands = new Map<number, Settle<ExpertSnapshot>>();
  readonly #builder: BuilderHost | null;
  readonly #onProgress: (text: string) => void;
  readonly #exited: Promise<void>;
  #experts: readonly ExpertSnapshot[] = [];
  #numCommands = 0;
  #kvCacheUsage = 0;
  #prefixCacheBytes = 0;
  #grammarCacheBytes = 0;
  #stepObserver: StepObserver | null = null;
  #stopped: EngineStoppedError | null = null;

  constructor(worker: Worker, options: WorkerEngineOptions) {
    const { limits, maxWaitingTokens, builder, onProgress } = options;
    this.limits = limits;
    this.#maxWaitingTokens = maxWaitingTokens;
    this.#onProgress = onProgress;
    this.#worker = worker;
    this.#builder = builder && new BuilderHost(builder, (message) => this.#send(message));
    worker.on("message", (message: FromWorker) => this.#receive(message));
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
    return {
      runningRequests,
      waitingRequests,
      waitingTokens,
      kvCacheUsage,
      prefixCacheBytes: this.#prefixCacheBytes,
      grammarCacheBytes: this.#grammarCacheBytes,
    };
  }

  observeSteps(observer: StepObserver): void {
    this.#stepObserver = observer;
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

  experts(): readonly ExpertSnapshot[] {
    return this.#experts;
  }

  async commandExpert(name: string, command: ExpertCommand): Promise<ExpertSnapshot> {
    if (this.#stopped) throw this.#stopped;
    const id = this.#numCommands++;
    const settled = new Promise<ExpertSnapshot>((resolve, reject) => {
      this.#commands.set(id, { resolve, reject });
    });
    this.#send({ type: "command_expert", id, name, command });
    return settled;
  }

  async close(): Promise<void> {
    this.#stop("The engine was closed.");
    this.#send({ type: "close" });
    await this.#exited;
    await this.#builder?.stop();
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

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "ready":
      case "load_failed":
        return; // for `startEngine`
      case "progress":
        return this.#onProgress(message.text);
      case "router_used":
        return this.#routers.shift()?.resolve();
      case "router_failed":
        return this.#routers.shift()?.reject(new RouterLoadError(message.message));
      case "experts":
        this.#experts = message.snapshots;
        return;
      case "expert_commanded":
        return this.#takeCommand(message.id)?.resolve(message.snapshot);
      case "expert_refused":
        return this.#takeCommand(message.id)?.reject(new ExpertCommandError(message.message));
      case "find_expert":
      case "build_expert":
      case "stop_build":
        return this.#builder?.receive(message);
      case "outputs":
        this.#kvCacheUsage = message.kvCacheUsage;
        this.#prefixCacheBytes = message.prefixCacheBytes;
        this.#grammarCacheBytes = message.grammarCacheBytes;
        for (const output of message.outputs) this.#deliver(output);
        this.#observe(message.report, message.sentAtSeconds);
    }
  }

  /** Those who were given outputs write them before the next turn of the event loop. */
  #observe(report: StepReport, sentAtSeconds: number): void {
    const observer = this.#stepObserver;
    if (observer === null) return;
    setImmediate(() => observer(report, steadySeconds() - sentAtSeconds));
  }

  #takeCommand(id: number): Settle<ExpertSnapshot> | undefined {
    const command = this.#commands.get(id);
    this.#commands.delete(id);
    return command;
  }

  #deliver(output: WorkerOutput): void {
    const inFlight = this.#inFlight.get(output.id);
    if (!inFlight) return;
    if ("error" in output) {
      this.#inFlight.delete(output.id);
      const { code, message } = output.error;
      const cancelled = code === "cancelled";
      const failure =
        code === "no_token_left" ? new NoTokenLeftError() : new InferenceError(message);
      inFlight.queue.fail(cancelled ? new CancelledError(output.id) : failure);
    } else if (output.event.type === "started" || output.event.type === "parked") {
      inFlight.hasStarted = output.event.type === "started";
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
    const settles = [...this.#routers.splice(0), ...this.#commands.values()];
    this.#commands.clear();
    for (const { reject } of settles) reject(this.#stopped);
    void this.#builder?.stop();
  }
}
