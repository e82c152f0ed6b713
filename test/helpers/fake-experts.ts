import { setImmediate } from "node:timers/promises";
import type { ExpertDevice, ExpertHandle } from "../../engine/experts/expert-device.ts";
import type { ChooseOptions, ExpertLease } from "../../engine/contract/expert-choice.ts";
import { ExpertPool } from "../../engine/experts/expert-pool.ts";
import type {
  BuildProgress,
  BuiltExpert,
  ExpertBuilder,
  ExpertOptions,
  ExpertSnapshot,
  TaskPolicy,
} from "../../engine/contract/experts.ts";
import type { StepCost } from "../../engine/experts/serve-policy.ts";

/** Of the unpruned middle of a {@link PoolSetup}. */
export const denseBytes = 500;

export const someCost: StepCost = { fixedSeconds: 0.005, perRowSeconds: 0.001 };

export function builtOf(key: string, sizeBytes: number): BuiltExpert {
  return {
    ...{ key, storeDir: "/store", sizeBytes },
    ...{ sparsity: 0.3, lossIncrease: 0.04, buildSeconds: 60 },
  };
}

/** Time that passes when the test says so. */
export class FakeClock {
  nowMs = 1_000_000;
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  readonly setTimer = (callback: () => void, delayMs: number): (() => void) => {
    const timer = { atMs: this.nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  get numTimers(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    this.nowMs += ms;
    for (const timer of [...this.#timers]) {
      if (timer.atMs <= this.nowMs && this.#timers.delete(timer)) timer.callback();
    }
  }
}

export interface OpenBuild {
  readonly task: string;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: BuildProgress) => void;
  readonly end: (built: BuiltExpert | null) => void;
  readonly fail: (error: Error) => void;
}

/** Builds that end when and as the test says. */
export class FakeBuilder implements ExpertBuilder {
  readonly onDisk = new Map<string, BuiltExpert>();
  /** Of all builds that began. */
  readonly began: string[] = [];
  readonly open: OpenBuild[] = [];

  find(task: string): Promise<BuiltExpert | null> {
    return Promise.resolve(this.onDisk.get(task) ?? null);
  }

  build(
    task: string,
    { signal, onProgress }: Pick<OpenBuild, "signal" | "onProgress">,
  ): Promise<BuiltExpert | null> {
    this.began.push(task);
    return new Promise((resolve, reject) => {
      const close = (): void => void this.open.splice(this.open.indexOf(build), 1);
      const build: OpenBuild = {
        ...{ task, signal, onProgress },
        end: (built) => (close(), resolve(built)),
        fail: (error) => (close(), reject(error)),
      };
      this.open.push(build);
      signal.addEventListener("abort", () => build.fail(signal.reason as Error));
    });
  }
}

export interface OpenLoad {
  readonly name: string;
  readonly sizeBytes: number;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
}

export interface FakeHandle extends ExpertHandle {
  readonly name: string;
  readonly sizeBytes: number;
  numReleases: number;
  isGone: boolean;
}

/** Loads that end when and as the test says; releases end at once unless they are to be held. */
export class FakeDevice implements ExpertDevice {
  readonly costs: Record<string, StepCost> = {};
  /** Of all loads that began. */
  readonly began: string[] = [];
  readonly open: OpenLoad[] = [];
  readonly handles: FakeHandle[] = [];
  holdsReleases = false;
  /** Each ends a release that is held. */
  readonly openReleases: (() => void)[] = [];

  get bytes(): number {
    const live = this.handles.filter(({ isGone }) => !isGone);
    return [...live, ...this.open].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  live(name: string): FakeHandle | undefined {
    return this.handles.find((handle) => handle.name === name && !handle.isGone);
  }

  load(built: BuiltExpert, name: string): Promise<ExpertHandle> {
    const { sizeBytes } = built;
    this.began.push(name);
    return new Promise((resolve, reject) => {
      const close = (): void => void this.open.splice(this.open.indexOf(load), 1);
      const load: OpenLoad = {
        ...{ name, sizeBytes },
        end: () => (close(), resolve(this.#add(name, sizeBytes))),
        fail: (error) => (close(), reject(error)),
      };
      this.open.push(load);
    });
  }

  #add(name: string, sizeBytes: number): FakeHandle {
    const release = (): Promise<void> => {
      handle.numReleases++;
      const end = (): void => void (handle.isGone = true);
      if (!this.holdsReleases) return Promise.resolve(end());
      return new Promise((resolve) => this.openReleases.push(() => (end(), resolve())));
    };
    const cost = this.costs[name] ?? someCost;
    const handle: FakeHandle = {
      ...{ name, sizeBytes, cost, release },
      ...{ numReleases: 0, isGone: false },
    };
    this.handles.push(handle);
    return handle;
  }
}

/** A pool over fakes, for tasks `code`, `math`, `chat` and what the options say of more. */
export class PoolSetup {
  readonly clock = new FakeClock();
  readonly builder = new FakeBuilder();
  readonly device = new FakeDevice();
  readonly lines: string[] = [];
  /** As the pool told them; each is a whole list. */
  readonly told: ExpertSnapshot[][] = [];
  readonly pool: ExpertPool;

  /** @param onDisk sizes of experts that were built before */
  constructor(options: Partial<ExpertOptions> = {}, onDisk: Readonly<Record<string, number>> = {}) {
    for (const [task, sizeBytes] of Object.entries(onDisk)) {
      this.builder.onDisk.set(task, builtOf(task, sizeBytes));
    }
    const served: TaskPolicy = { isServed: true, whileBuilding: "general" };
    this.pool = new ExpertPool({
      options: {
        tasks: { code: served, math: served, chat: served },
        hasGeneral: false,
        memoryBytes: 200,
        policy: "task",
        preload: [],
        idleMs: null,
        maxParked: 100,
        shadow: { share: 0, maxKl: 0.5, minRequests: 3 },
        ...options,
      },
      builder: this.builder,
      device: this.device,
      denseBytes,
      denseCost: { fixedSeconds: 0.005, perRowSeconds: 0.0015 },
      nowMs: () => this.clock.nowMs,
      setTimer: this.clock.setTimer,
      onChange: (snapshots) => this.told.push(snapshots),
      log: (line) => this.lines.push(line),
    });
  }

  /** Until nothing more happens by itself. */
  async settle(): Promise<void> {
    await setImmediate();
  }

  snapshot(name: string): ExpertSnapshot {
    const found = this.pool.snapshots().find((one) => one.name === name);
    if (found === undefined) throw new Error(`Expected an expert, got "${name}".`);
    return found;
  }

  state(name: string): string {
    return this.snapshot(name).state;
  }

  /** Ends the build that is on. */
  async endBuild(built: BuiltExpert | null | Error): Promise<void> {
    const build = this.builder.open[0];
    if (build === undefined) throw new Error("Expected a build that is on.");
    if (built instanceof Error) build.fail(built);
    else build.end(built);
    await this.settle();
  }

  /** Ends the oldest load that is on. */
  async endLoad(error?: Error): Promise<void> {
    const load = this.device.open[0];
    if (load === undefined) throw new Error("Expected a load that is on.");
    if (error) load.fail(error);
    else load.end();
    await this.settle();
  }

  /** Asks for it and ends its load, so that it is in memory and idle. */
  async bring(task: string): Promise<void> {
    await this.settle();
    this.run(task).release();
    await this.settle();
    await this.endLoad();
  }

  /** @throws where the choice is to wait */
  run(task: string | null, options?: ChooseOptions): ExpertLease {
    const choice = this.pool.choose(task, options);
    if (choice.kind === "wait") throw new Error(`Expected ${task} to run, but it has to wait.`);
    return choice.lease;
  }
}

/** @throws where the choice is to run */
export function readyOf(pool: ExpertPool, task: string, options?: ChooseOptions): Promise<void> {
  const choice = pool.choose(task, options);
  if (choice.kind === "run") throw new Error(`Expected ${task} to wait, but it runs.`);
  return choice.ready;
}

/** @returns whether it has settled by the time of the call */
export function watch(promise: Promise<void>): () => boolean {
  let isSettled = false;
  void promise.then(() => (isSettled = true));
  return () => isSettled;
}
