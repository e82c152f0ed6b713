import { BuildQueue } from "./build-queue.ts";
import { EngineStoppedError, ExpertCommandError } from "../contract/errors.ts";
import type { ChooseOptions, ExpertChoice, ExpertLease } from "../contract/expert-choice.ts";
import type { ExpertDevice } from "./expert-device.ts";
import { DenseMiddle } from "./dense-middle.ts";
import { ExpertCommands } from "./expert-commands.ts";
import { ExpertEntry } from "./expert-entry.ts";
import { isWorthItsOwn } from "./expert-groups.ts";
import { ExpertMemory } from "./expert-memory.ts";
import {
  type ExpertBuilder,
  type ExpertOptions,
  type ExpertSnapshot,
  generalExpert,
  type ServeReason,
} from "../contract/experts.ts";
import type { PooledMiddle } from "./pooled-middle.ts";
import type { ExpertCommand } from "../contract/request.ts";
import type { StepCost } from "./serve-policy.ts";
import type { ShadowRecord } from "./shadow-tally.ts";
import { missReasons, reasonOf, sharingReasons } from "./serve-reasons.ts";
import type { SetTimer } from "../contract/timer.ts";

export interface ExpertPoolOptions {
  readonly options: ExpertOptions;
  readonly builder: ExpertBuilder;
  readonly device: ExpertDevice;
  readonly denseCost: StepCost;
  /** Bytes of the unpruned middle, which is no part of the experts' memory. */
  readonly denseBytes: number;
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
  readonly setTimer: SetTimer;
  /** Called in a microtask after changes, once for all of them. */
  readonly onChange: (snapshots: ExpertSnapshot[]) => void;
  /** One line for a person. */
  readonly log: (line: string) => void;
}

/**
 * Decides which middle a sequence runs on, and has experts built and loaded as they are asked for. Nothing here
 * blocks: what is not there yet is answered by another middle, or waited for.
 */
export class ExpertPool {
  readonly #options: ExpertPoolOptions;
  /** Without dense, in the order in which they are shown. */
  readonly #entries = new Map<string, ExpertEntry>();
  readonly #dense: DenseMiddle;
  readonly #builds: BuildQueue;
  readonly #memory: ExpertMemory;
  readonly #commands: ExpertCommands;
  readonly #leases = new Set<ExpertLease>();
  #isTelling = false;
  #closing: Promise<void> | null = null;

  /** @throws ExpertCommandError when one that is to be preloaded does not exist */
  constructor(options: ExpertPoolOptions) {
    this.#options = options;
    const { options: experts, builder, device, nowMs, setTimer, log } = options;
    const alwaysServed = { isServed: true, whileBuilding: "general" } as const;
    this.#dense = new DenseMiddle(options.denseCost, options.denseBytes);
    const policies = Object.entries(experts.tasks);
    if (experts.hasGeneral) policies.unshift([generalExpert, alwaysServed]);
    for (const [name, policy] of policies) this.#entries.set(name, new ExpertEntry(name, policy));

    const onChange = (): void => this.#changed();
    this.#builds = new BuildQueue({
      ...{ builder, nowMs, log, onChange },
      onBuilt: (entry, built) => {
        const { intent } = entry;
        if (intent.kind === "load") this.#memory.load(entry, built, intent.isUrgent);
        else entry.store(built);
      },
    });
    this.#memory = new ExpertMemory({
      ...{ device, nowMs, setTimer, log, onChange },
      memoryBytes: experts.memoryBytes,
      idleMs: experts.idleMs,
      onDamaged: (entry) => this.#builds.plan(entry),
    });
    this.#commands = new ExpertCommands({
      memory: this.#memory,
      plan: (entry) => this.#builds.plan(entry),
      ask: (entry) => this.#ask(entry, { isUrgent: true }),
    });

    const first = experts.preload.map((name) => this.#named(name));
    for (const entry of first) this.#ask(entry);
    const served = [...this.#entries.values()].filter(({ policy }) => policy.isServed);
    void this.#builds.find(new Set([...first, ...served]));
    this.#changed();
  }

  /**
   * Which middle a sequence runs on, to be chosen once its task is known. Asks for what is missing.
   *
   * @param task null for none of them; `general` is taken for a task too
   */
  choose(task: string | null, { mustWait, isAssigned }: ChooseOptions = {}): ExpertChoice {
    if (task === null) return this.#run(this.#dense, task, "no-task");
    const entry = this.#entries.get(task);
    if (entry === undefined) return this.#run(this.#dense, task, "off");
    const nowMs = this.#options.nowMs();
    const isPatient = mustWait ?? entry.policy.whileBuilding === "wait";
    entry.demand.add(nowMs);
    this.#ask(entry, { isUrgent: isPatient });
    let reason = reasonOf[entry.shownState];
    if (isPatient && (reason === "building" || reason === "loading") && this.#closing === null) {
      return { kind: "wait", ready: entry.whenSettled() };
    }
    const isNamed = isAssigned === true || mustWait === true;
    if (reason === "expert" && !isNamed && !this.#isWorthItsOwn(entry)) reason = "load";
    if (missReasons.has(reason)) entry.counts.misses++;
    const shared = sharingReasons.has(reason) ? this.#shared() : this.#dense;
    const choice = this.#run(reason === "expert" ? entry : shared, task, reason);
    // Not before: what makes room for the general expert must not be what was just chosen.
    const isShared = sharingReasons.has(reason) || this.#options.options.policy === "load-aware";
    const general = this.#entries.get(generalExpert);
    if (isShared && general !== undefined && general !== entry) {
      general.demand.add(nowMs);
      if (this.#isWorthSharing(general)) this.#ask(general);
    }
    return choice;
  }

  /** The general expert takes the longest to build: tasks come first, and one task needs nothing to share. */
  #isWorthSharing(general: ExpertEntry): boolean {
    const others = [...this.#entries.values()].filter((entry) => entry !== general);
    return general.built !== null || others.filter(({ built }) => built !== null).length >= 2;
  }

  /**
   * What a person wants done. `build` makes what is missing, and lifts what was held against an expert; `load` has
   * it built too where needed, but does not wait for that; `evict` waits only when no sequence runs on it.
   *
   * @throws ExpertCommandError when there is no such expert, or it is not possible
   * @throws EngineStoppedError
   */
  async command(name: string, command: ExpertCommand): Promise<ExpertSnapshot> {
    if (this.#closing !== null) throw new EngineStoppedError("The server is stopping.");
    const entry = this.#named(name);
    if (command === "build") this.#commands.build(entry);
    else await this.#commands[command](entry);
    this.#changed();
    return entry.snapshot();
  }

  /** Adds the comparison of one finished request with dense, and takes an expert that is too far from it out of service. */
  recordShadow(name: string, record: ShadowRecord): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    const { minRequests, maxKl } = this.#options.options.shadow;
    entry.shadow.add(record);
    const { requests, meanKl } = entry.shadow;
    if (requests >= minRequests && meanKl > maxKl && entry.intent.kind !== "suspend") {
      const problem = `Its mean KL divergence from dense is ${meanKl.toFixed(3)} nats a token over ${requests} requests, more than ${maxKl}.`;
      this.#options.log(`Expert ${name} is suspended. ${problem}`);
      entry.suspend(problem);
      this.#memory.evict(entry, "suspended");
    }
    this.#changed();
  }

  /** How dense, the general expert and the tasks are now. */
  snapshots(): ExpertSnapshot[] {
    return [this.#dense, ...this.#entries.values()].map((middle) => middle.snapshot());
  }

  /** Stops the build that is on, and resolves when all experts have left memory: after the last lease. */
  close(): Promise<void> {
    this.#closing ??= Promise.all([this.#builds.close(), this.#memory.close()]).then();
    for (const entry of this.#entries.values()) entry.settle();
    return this.#closing;
  }

  #named(name: string): ExpertEntry {
    const entry = this.#entries.get(name);
    if (entry?.policy.isServed) return entry;
    const served = [...this.#entries.values()].filter(({ policy }) => policy.isServed);
    const names = served.map((one) => one.name).join(", ");
    throw new ExpertCommandError(`Expected an expert of ${names}, got "${name}".`);
  }

  /** Has it built and loaded, whichever is missing; one that failed only when its time has come. */
  #ask(entry: ExpertEntry, { isUrgent = false } = {}): void {
    const isOut = entry.intent.kind === "suspend" || !entry.policy.isServed;
    if (this.#closing !== null || isOut) return;
    entry.retryIfDue(this.#options.nowMs());
    const { kind } = entry.state;
    if (kind === "absent" || kind === "planned" || kind === "building") entry.want({ isUrgent });
    if (kind === "absent") {
      this.#builds.plan(entry, { isLast: entry.name === generalExpert });
      this.#changed();
    } else if (entry.state.kind === "stored") {
      this.#memory.load(entry, entry.state.built, isUrgent);
    }
  }

  #run(middle: PooledMiddle, task: string | null, reason: ServeReason): ExpertChoice {
    const { nowMs } = this.#options;
    const entry = middle instanceof ExpertEntry ? middle : null;
    middle.counts.begin(nowMs());
    if (entry) this.#memory.use(entry);
    const release = (): void => {
      if (!this.#leases.delete(lease)) return;
      middle.counts.end(nowMs());
      if (entry?.counts.running === 0) this.#memory.rest(entry);
      this.#changed();
    };
    const lease = { expert: middle.name, task, reason, release };
    this.#leases.add(lease);
    this.#changed();
    return { kind: "run", lease };
  }

  /** What sequences of all tasks may run on together. */
  #shared(): PooledMiddle {
    const general = this.#entries.get(generalExpert);
    return general?.shownState === "resident" ? general : this.#dense;
  }

  #isWorthItsOwn(entry: ExpertEntry): boolean {
    const { options, denseCost } = this.#options;
    const middle = this.#shared();
    if (options.policy === "task" || entry === middle) return true;
    const shared = { name: middle.name, cost: middle.cost ?? denseCost };
    const entries = this.#entries.values();
    return isWorthItsOwn({ entry, entries, shared, running: this.#leases });
  }

  #changed(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      this.#options.onChange(this.snapshots());
    });
  }
}
