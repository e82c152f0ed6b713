import { LRUCache } from "lru-cache";
import { ArtifactError } from "../../model/errors.ts";
import { EngineStoppedError } from "../contract/errors.ts";
import { messageOf } from "../contract/request-failure.ts";
import { leavesFor } from "./expert-demand.ts";
import type { ExpertDevice, ExpertHandle } from "./expert-device.ts";
import type { ExpertEntry } from "./expert-entry.ts";
import { type BuiltExpert, type EvictionReason, generalExpert } from "../contract/experts.ts";
import { IdleTimers } from "./idle-timers.ts";
import type { SetTimer } from "../contract/timer.ts";

export interface ExpertMemoryOptions {
  readonly device: ExpertDevice;
  readonly memoryBytes: number;
  /** Milliseconds without use after which an expert leaves; null for never. */
  readonly idleMs: number | null;
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
  readonly setTimer: SetTimer;
  readonly log: (line: string) => void;
  /** Something that a snapshot shows is new. */
  readonly onChange: () => void;
  /** What lay on disk cannot be used. */
  readonly onDamaged: (entry: ExpertEntry) => void;
}

/** For so long one that somebody waited for stays, used or not: who waits chooses again after some steps. */
const claimMs = 5000;

/**
 * Owns the memory of experts. Those that come, are there and go never take more bytes together than allowed. Only
 * what no sequence runs on is sent away, the least recently used first, and never the general expert. Busy experts
 * leave only for busier ones, and for those that somebody waits for.
 */
export class ExpertMemory {
  readonly #options: ExpertMemoryOptions;
  readonly #resident: LRUCache<string, ExpertEntry>;
  /** Not resident and not to be sent away: loading, or draining while sequences run on them. */
  readonly #pinned = new Set<ExpertEntry>();
  /** Experts that are leaving: their bytes count as free for who waits until they are. */
  readonly #releasing = new Set<Promise<void>>();
  readonly #claimedUntilMs = new Map<ExpertEntry, number>();
  readonly #idleTimers: IdleTimers<ExpertEntry>;
  #isClosed = false;
  #onEmpty: () => void = () => undefined;

  constructor(options: ExpertMemoryOptions) {
    this.#options = options;
    this.#resident = new LRUCache({
      maxSize: Math.max(1, Math.floor(options.memoryBytes)),
      sizeCalculation: sizeOf,
    });
    this.#idleTimers = new IdleTimers({
      ...{ idleMs: options.idleMs, setTimer: options.setTimer },
      onIdle: (entry) => this.evict(entry, "idle"),
    });
  }

  /**
   * Loads what was built, if there is room or room can be made.
   * @param isUrgent busier ones leave for it too, as they do where somebody waits for it
   */
  load(entry: ExpertEntry, built: BuiltExpert, isUrgent: boolean): void {
    const { memoryBytes, onChange } = this.#options;
    onChange();
    if (built.sizeBytes > memoryBytes) {
      return entry.refuse(
        built,
        `It takes ${built.sizeBytes} bytes, and all experts together may take ${memoryBytes}.`,
      );
    }
    const idle = this.#idle();
    const mayLeave = isUrgent || entry.hasWaiters ? idle : this.#leavingFor(entry, idle);
    const leaving = this.#toLeave(built.sizeBytes, mayLeave);
    if (leaving === null) {
      const isPutOff = this.#toLeave(built.sizeBytes, idle) !== null;
      if (isPutOff) entry.counts.loadsPutOff++;
      const others = isPutOff ? "those that are asked for more" : "those in use";
      return entry.store(
        built,
        `It takes ${built.sizeBytes} bytes, and ${others} leave no room for it.`,
      );
    }
    for (const other of leaving) this.evict(other, "memory");
    entry.startLoad(built);
    this.#pinned.add(entry);
    void this.#load(entry, built);
  }

  /** A sequence runs on it from now on. */
  use(entry: ExpertEntry): void {
    this.#resident.get(entry.name);
    this.#claimedUntilMs.delete(entry);
    this.#idleTimers.cancel(entry);
  }

  /** The last sequence has left it. */
  rest(entry: ExpertEntry): void {
    this.#resident.get(entry.name);
    if (entry.state.kind === "draining") void this.#release(entry);
    else this.#startIdleTimer(entry);
  }

  /** Sends one that is there away, after the last sequence on it. */
  evict(entry: ExpertEntry, reason: EvictionReason): void {
    if (entry.state.kind !== "resident") return;
    this.#resident.delete(entry.name);
    this.#claimedUntilMs.delete(entry);
    this.#idleTimers.cancel(entry);
    entry.drain(reason);
    this.#pinned.add(entry);
    if (entry.counts.running === 0) void this.#release(entry);
    this.#options.onChange();
  }

  /** One that goes when its last sequence has left stays after all. */
  keep(entry: ExpertEntry): void {
    if (entry.state.kind !== "draining" || entry.counts.running === 0) return;
    this.#pinned.delete(entry);
    this.#resident.set(entry.name, entry);
    entry.stay();
    this.#options.onChange();
  }

  /** Sends all away. Resolves when the last one is gone, which is after the last sequence. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const entry of [...this.#resident.values()]) this.evict(entry, "stopping");
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      this.#checkEmpty();
    });
  }

  /** Idle experts that are not asked for much more than another. */
  #leavingFor(entry: ExpertEntry, idle: readonly ExpertEntry[]): readonly ExpertEntry[] {
    const nowMs = this.#options.nowMs();
    const demand = entry.demand.at(nowMs);
    return idle.filter((other) => leavesFor(other.demand.at(nowMs), demand));
  }

  /** The first candidates that must leave for so much to fit beside the rest; null if all are not enough. */
  #toLeave(sizeBytes: number, candidates: readonly ExpertEntry[]): readonly ExpertEntry[] | null {
    const pinnedBytes = [...this.#pinned].reduce((sum, entry) => sum + sizeOf(entry), 0);
    const freeBytes = this.#options.memoryBytes - pinnedBytes - this.#resident.calculatedSize;
    let missingBytes = sizeBytes - freeBytes;
    const leaving: ExpertEntry[] = [];
    for (const entry of candidates) {
      if (missingBytes <= 0) break;
      missingBytes -= sizeOf(entry);
      leaving.push(entry);
    }
    return missingBytes > 0 ? null : leaving;
  }

  /** What may be sent away, the least recently used first. */
  #idle(): ExpertEntry[] {
    const nowMs = this.#options.nowMs();
    return [...this.#resident.rvalues()].filter(
      (entry): entry is ExpertEntry =>
        entry !== undefined &&
        entry.counts.running === 0 &&
        entry.name !== generalExpert &&
        nowMs >= (this.#claimedUntilMs.get(entry) ?? 0),
    );
  }

  async #load(entry: ExpertEntry, built: BuiltExpert): Promise<void> {
    const { nowMs, log, onChange } = this.#options;
    const startedAtMs = nowMs();
    let handle: ExpertHandle;
    try {
      handle = await this.#loadOrRetry(entry, built);
    } catch (error) {
      if (!this.#isClosed) log(`Expert ${entry.name} was not loaded: ${messageOf(error)}`);
      this.#pinned.delete(entry);
      this.#failed(entry, error);
      this.#checkEmpty();
      return onChange();
    }
    const seconds = (nowMs() - startedAtMs) / 1000;
    entry.counts.loaded(seconds);
    entry.counts.measured(handle.cost);
    log(`Expert ${entry.name} was loaded in ${seconds.toFixed(2)} s.`);
    if (entry.hasWaiters) this.#claimedUntilMs.set(entry, nowMs() + claimMs);
    this.#pinned.delete(entry);
    entry.endLoad(handle);
    this.#resident.set(entry.name, entry);
    this.#startIdleTimer(entry);
    if (this.#isClosed) this.evict(entry, "stopping");
    else if (entry.intent.kind === "suspend") this.evict(entry, "suspended");
    else if (entry.intent.kind === "store") this.evict(entry, "command");
    onChange();
  }

  async #loadOrRetry(entry: ExpertEntry, built: BuiltExpert): Promise<ExpertHandle> {
    await Promise.all(this.#releasing);
    if (this.#isClosed) throw new EngineStoppedError("The server is stopping.");
    try {
      return await this.#options.device.load(built, entry.name);
    } catch (error) {
      if (error instanceof ArtifactError || this.#isClosed) throw error;
      this.#options.log(
        `Expert ${entry.name} was not loaded (${messageOf(error)}): all idle experts leave, and it is tried once more.`,
      );
    }
    for (const idle of this.#idle()) this.evict(idle, "memory");
    await Promise.all(this.#releasing);
    return this.#options.device.load(built, entry.name);
  }

  #failed(entry: ExpertEntry, error: unknown): void {
    const isDamaged = error instanceof ArtifactError;
    if (isDamaged && !this.#isClosed && entry.addDamage()) return this.#options.onDamaged(entry);
    // What the device says tells of the server's insides: it is in the log.
    const problem = isDamaged ? error.message : "It could not be loaded: the log says why.";
    entry.failLoad(problem, this.#options.nowMs(), isDamaged);
  }

  async #release(entry: ExpertEntry): Promise<void> {
    this.#pinned.delete(entry);
    const released = this.#releaseHandle(entry);
    this.#releasing.add(released);
    await released;
    this.#releasing.delete(released);
    entry.endRelease();
    this.#checkEmpty();
    this.#options.onChange();
  }

  async #releaseHandle({ name, state }: ExpertEntry): Promise<void> {
    try {
      if ("handle" in state) await state.handle.release();
    } catch (error) {
      this.#options.log(`Expert ${name} was not released: ${messageOf(error)}`);
    }
  }

  /** The general expert is never idle: all tasks may come to need it. */
  #startIdleTimer(entry: ExpertEntry): void {
    const isThere = entry.state.kind === "resident";
    if (isThere && entry.name !== generalExpert) this.#idleTimers.start(entry);
  }

  #checkEmpty(): void {
    if (this.#pinned.size === 0 && this.#releasing.size === 0) this.#onEmpty();
  }
}

function sizeOf(entry: ExpertEntry): number {
  return entry.built?.sizeBytes ?? 0;
}
