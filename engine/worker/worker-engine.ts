import type { Worker } from "node:worker_threads";

import { checkRoom } from "./admission.ts";
import { BuilderHost } from "./builder-host.ts";
import {
  CancelledError,
  EngineHungError,
  EngineStoppedError,
  ExpertCommandError,
  RouterLoadError,
} from "../contract/errors.ts";
import { InFlightRequests } from "./in-flight-requests.ts";
import type { ExpertBuilder, ExpertSnapshot } from "../contract/experts.ts";
import type {
  Engine,
  EngineLimits,
  EngineMemory,
  EngineStats,
  ExpertCommand,
  GenerateEvent,
  GenerateRequest,
  StepObserver,
} from "../contract/request.ts";
import { steadySeconds } from "./steady-clock.ts";
import type { StepReport } from "../contract/step-meter.ts";
import type { SetTimer } from "../contract/timer.ts";
import { Watchdog } from "./watchdog.ts";
import { settleWithin } from "./within-time.ts";
import type { FromWorker, ToWorker } from "./worker-protocol.ts";

interface Settle<Result> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

/** What the worker gets to end what it is doing and to let go of its memory. */
const closeTimeoutMs = 20_000;

export interface WorkerEngineOptions {
  readonly limits: EngineLimits;
  readonly maxWaitingTokens: number;
  readonly builder: ExpertBuilder | null;
  readonly onProgress: (text: string) => void;
  readonly onProblem: (text: string) => void;
  /** How long the worker may leave a message unanswered; 0 is for ever. */
  readonly answerTimeoutMs: number;
  readonly setTimer: SetTimer;
}

/** An engine in a worker that is there already. */
export class WorkerEngine implements Engine {
  readonly limits: EngineLimits;
  readonly #worker: Worker;
  readonly #inFlight = new InFlightRequests();
  /** Routers that the worker is reading, in order. */
  readonly #routers: Settle<void>[] = [];
  readonly #commands = new Map<number, Settle<ExpertSnapshot>>();
  readonly #builder: BuilderHost | null;
  readonly #options: WorkerEngineOptions;
  readonly #exited: Promise<void>;
  readonly failed: Promise<EngineStoppedError>;
  #tellFailed!: (error: EngineStoppedError) => void;
  #watchdog: Watchdog | null = null;
  #isClosed = false;
  #experts: readonly ExpertSnapshot[] = [];
  #numCommands = 0;
  #memory: EngineMemory = {
    ...{ kvCacheUsage: 0, kvBytes: 0, weightBytes: 0, prefixCacheBytes: 0, grammarCacheBytes: 0 },
  };
  #stepObserver: StepObserver | null = null;
  #stopped: EngineStoppedError | null = null;

  constructor(worker: Worker, options: WorkerEngineOptions) {
    const { limits, builder } = options;
    this.limits = limits;
    this.#options = options;
    this.#worker = worker;
    this.failed = new Promise((resolve) => (this.#tellFailed = resolve));
    this.#builder = builder && new BuilderHost(builder, (message) => this.#send(message));
    worker.on("message", (message: FromWorker) => this.#receive(message));
    worker.on("error", (error) => {
      const message = `The engine's worker failed: ${error.message}`;
      this.#fail(new EngineStoppedError(message, { cause: error }));
    });
    this.#exited = new Promise((resolve) => {
      worker.on("exit", (code) => {
        this.#fail(new EngineStoppedError(`The engine's worker ended with code ${code}.`));
        resolve();
      });
    });
  }

  get problem(): EngineStoppedError | null {
    return this.#stopped;
  }

  get enginesUp(): number {
    return this.#stopped === null ? 1 : 0;
  }

  stats(): EngineStats {
    const counts = this.#inFlight.counts();
    const kvCacheUsage = counts.runningRequests === 0 ? 0 : this.#memory.kvCacheUsage;
    return { ...counts, ...this.#memory, kvCacheUsage, restarts: 0 };
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
    const queue = this.#inFlight.add(request);
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

  /** Watches over the worker from now on, as its model is loaded. */
  watch(): void {
    const { answerTimeoutMs, setTimer } = this.#options;
    if (answerTimeoutMs === 0) return;
    this.#watchdog = new Watchdog({
      ...{ timeoutMs: answerTimeoutMs, setTimer },
      ask: () => this.#send({ type: "ping" }),
      onSilence: () => this.#fail(hung(answerTimeoutMs)),
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stop(new EngineStoppedError("The engine was closed."));
    this.#send({ type: "close" });
    await settleWithin(Promise.all([this.#exited, this.#builder?.stop()]), {
      timeoutMs: closeTimeoutMs,
      setTimer: this.#options.setTimer,
      onTimeout: () => hung(closeTimeoutMs),
    });
  }

  /** Counts what this thread has sent and not yet seen start, so no burst slips through. */
  #admit(request: GenerateRequest): void {
    const { maxWaitingTokens } = this.#options;
    checkRoom(request, this.stats(), { ...this.limits, maxWaitingTokens });
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "ready":
      case "load_failed":
        return; // for `startEngine`
      case "pong":
        return this.#watchdog?.answered();
      case "progress":
        return this.#options.onProgress(message.text);
      case "problem":
        return this.#options.onProblem(message.text);
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
      case "memory":
        this.#memory = message.memory;
        return;
      case "outputs":
        this.#memory = message.memory;
        for (const output of message.outputs) this.#inFlight.deliver(output);
        this.#observe(message.report, message.sentAtSeconds);
    }
  }

  /** Tells the observer of a step in the next turn of the event loop: what it brought is written to the clients before. */
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

  #cancel(id: string): void {
    if (this.#inFlight.delete(id)) this.#send({ type: "cancel", id });
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #fail(error: EngineStoppedError): void {
    const isExpected = this.#isClosed || this.#stopped !== null;
    this.#stop(error);
    if (!isExpected) this.#tellFailed(error);
  }

  #stop(error: EngineStoppedError): void {
    this.#stopped ??= error;
    this.#watchdog?.stop();
    this.#inFlight.failAll(this.#stopped);
    const settles = [...this.#routers.splice(0), ...this.#commands.values()];
    this.#commands.clear();
    for (const { reject } of settles) reject(this.#stopped);
    void this.#builder?.stop();
  }
}

function hung(timeoutMs: number): EngineHungError {
  return new EngineHungError(`The engine's thread has not answered for ${timeoutMs / 1000} s.`);
}
