import { setImmediate as nextTurn } from "node:timers/promises";
import {
  CancelledError,
  EngineStoppedError,
  ExpertCommandError,
  OverloadedError,
} from "../../engine/contract/errors.ts";
import type { SeapError } from "../../model/errors.ts";
import type { ExpertSnapshot } from "../../engine/contract/experts.ts";
import type {
  Engine,
  EngineLimits,
  EngineStats,
  ExpertCommand,
  FinishReason,
  GenerateEvent,
  GenerateRequest,
  Reading,
  RoutedEvent,
  StepObserver,
} from "../../engine/contract/request.ts";
import type { Route } from "../../engine/contract/routing.ts";
import type { Decision } from "../../router/router.ts";

/** What a fake answer does next: a text per token ("" while text is held back), a pause, or a failure. */
export type Step = string | { readonly hold: Gate } | { readonly fail: Error };

export interface Script {
  /** @default what was assigned, else none without a router */
  readonly route?: Route;
  /** What the router thinks. @default null */
  readonly decision?: Decision;
  /** Holds the route until it is opened. */
  readonly routing?: Gate;
  /** @default dense, of a task that has no expert */
  readonly served?: Pick<RoutedEvent, "expert" | "serveReason">;
  /** Of the prompt. @default 0 */
  readonly cachedTokens?: number;
  readonly steps: readonly Step[];
  readonly reason?: FinishReason;
  /** Text of the finish event. */
  readonly heldBack?: string;
}

/** Something that tests open by hand instead of waiting for time to pass. */
export class Gate {
  readonly opened: Promise<void>;
  #open!: () => void;

  constructor() {
    this.opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
  }
}

/** An engine without a model: plays scripts, keeps the queue's rules, and remembers what happened. */
export class FakeEngine implements Engine {
  readonly limits: EngineLimits;
  readonly requests: GenerateRequest[] = [];
  readonly cancelledIds: string[] = [];
  /** What `experts` tells; set by tests. */
  snapshots: readonly ExpertSnapshot[] = [];
  readonly commands: (readonly [name: string, command: ExpertCommand])[] = [];
  readonly routers: string[] = [];
  /** Reports steps to the server; called by tests. */
  onSteps: StepObserver = () => undefined;
  isClosed = false;
  /** Set by tests, as when the engine is being started anew. */
  problem: SeapError | null = null;
  readonly failed: Promise<EngineStoppedError>;
  /** Called by tests: the engine does not come back. */
  fail!: (error: EngineStoppedError) => void;
  /** Set by tests. */
  restarts = 0;
  /** What closing it ends with; set by tests. */
  closing: Promise<void> = Promise.resolve();
  /** Decides the answer; set by tests. */
  script: (request: GenerateRequest) => Script = () => ({ steps: ["Hello", " world"] });
  /** Called before each token. */
  onStep: () => void = () => undefined;
  readonly #running = new Set<string>();
  readonly #waiting: { readonly request: GenerateRequest; readonly start: () => void }[] = [];
  readonly #watchers = new Set<() => void>();

  constructor(limits: Partial<EngineLimits> = {}) {
    this.failed = new Promise((resolve) => (this.fail = resolve));
    this.limits = {
      contextLength: 256,
      vocabSize: 1000,
      maxBatch: 32,
      maxWaitingRequests: 64,
      ...limits,
    };
  }

  get enginesUp(): number {
    return this.problem === null ? 1 : 0;
  }

  stats(): EngineStats {
    return {
      runningRequests: this.#running.size,
      waitingRequests: this.#waiting.length,
      parkedRequests: 0,
      waitingTokens: this.#waiting.reduce(
        (sum, { request }) => sum + request.promptTokenIds.length,
        0,
      ),
      kvCacheUsage: this.#running.size / this.limits.maxBatch,
      kvBytes: 0,
      weightBytes: 0,
      prefixCacheBytes: 0,
      grammarCacheBytes: 0,
      restarts: this.restarts,
    };
  }

  observeSteps(observer: StepObserver): void {
    this.onSteps = observer;
  }

  /** Settles once `condition` holds; looked at after every change. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => this.#watchers.add(resolve));
    }
  }

  async *generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void> {
    if (this.problem !== null) throw this.problem;
    if (this.isClosed) throw new EngineStoppedError("The engine is closed.");
    if (this.#running.size >= this.limits.maxBatch) {
      const waiting = this.#waiting.length;
      if (waiting >= this.limits.maxWaitingRequests) throw new OverloadedError(waiting, 3);
    }
    this.requests.push(request);
    const admitted = this.#admit(request);
    let isFinished = false;
    const left = new AbortController();
    const cancelled = new Promise<never>((_, reject) => {
      const onAbort = () => {
        if (!isFinished) this.#cancel(request.id);
        reject(new CancelledError(request.id));
      };
      if (signal?.aborted === true) onAbort();
      else signal?.addEventListener("abort", onAbort, { once: true, signal: left.signal });
    });
    cancelled.catch(() => undefined);
    try {
      yield { type: "accepted" };
      await Promise.race([admitted, cancelled]);
      const script = this.script(request);
      const { steps, reason = "stop", heldBack = "" } = script;
      await Promise.race([script.routing?.opened, cancelled]);
      const { assigned } = request.routing ?? {};
      const route = assigned
        ? { ...assigned, confidence: 1 }
        : (script.route ?? { task: null, confidence: 0, reason: "no-router" as const });
      const serveReason = route.task === null ? "no-task" : "off";
      const { served = { expert: "dense", serveReason } } = script;
      if (!request.reading) yield { type: "routed", ...route, ...served, seconds: 0.0001 };
      let completionTokens = 0;
      for (const step of steps) {
        if (completionTokens === request.maxTokens) break;
        if (typeof step === "string") {
          await Promise.race([nextTurn(), cancelled]);
          completionTokens++;
          this.onStep();
          this.#changed();
          yield { type: "delta", text: step, numTokens: 1 };
        } else if ("hold" in step) await Promise.race([step.hold.opened, cancelled]);
        else throw step.fail;
      }
      isFinished = true;
      this.#leave(request.id);
      yield {
        type: "finish",
        reason: completionTokens === request.maxTokens ? "length" : reason,
        text: heldBack,
        numTokens: 0,
        promptTokens: request.promptTokenIds.length,
        cachedTokens: script.cachedTokens ?? 0,
        completionTokens,
        timings: {
          ...{ queueSeconds: 0.001, prefillSeconds: 0.002, decodeSeconds: 0.003 },
          ...{ headSeconds: 0.0008, lastHeadSeconds: 0.0005, sampleSeconds: 0.0001 },
        },
        ...(request.reading && { reading: readingOf(request, route, script.decision ?? null) }),
      };
    } finally {
      left.abort();
      this.#leave(request.id);
    }
  }

  useRouter(path: string): Promise<void> {
    this.routers.push(path);
    return Promise.resolve();
  }

  experts(): readonly ExpertSnapshot[] {
    return this.snapshots;
  }

  commandExpert(name: string, command: ExpertCommand): Promise<ExpertSnapshot> {
    this.commands.push([name, command]);
    const snapshot = this.snapshots.find((expert) => expert.name === name);
    if (snapshot) return Promise.resolve(snapshot);
    return Promise.reject(new ExpertCommandError(`There is no expert ${name}.`));
  }

  close(): Promise<void> {
    this.isClosed = true;
    return this.closing;
  }

  #admit(request: GenerateRequest): Promise<void> {
    return new Promise((start) => {
      if (this.#running.size < this.limits.maxBatch) {
        this.#running.add(request.id);
        start();
      } else this.#waiting.push({ request, start });
      this.#changed();
    });
  }

  #cancel(id: string): void {
    this.cancelledIds.push(id);
    const place = this.#waiting.findIndex(({ request }) => request.id === id);
    if (place >= 0) this.#waiting.splice(place, 1);
    this.#leave(id);
  }

  #leave(id: string): void {
    if (this.#running.delete(id)) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        this.#running.add(next.request.id);
        next.start();
      }
    }
    this.#changed();
  }

  #changed(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const wake of watchers) wake();
  }
}

/** An embedding has four numbers, the first of them the larger the longer the prompt is. */
function readingOf(
  { reading, promptTokenIds }: GenerateRequest,
  route: Route,
  decision: Decision | null,
): Reading {
  if (reading === "route") return { kind: "route", route, decision, seconds: 0.0001 };
  const values = [promptTokenIds.length, 2, 2, 2];
  const length = Math.hypot(...values);
  return { kind: "embedding", embedding: Float32Array.from(values, (value) => value / length) };
}
