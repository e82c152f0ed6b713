import { isDeepStrictEqual } from "node:util";
import test from "ava";
import fc from "fast-check";
import { ExpertCommandError, InferenceError } from "../../../engine/contract/errors.ts";
import type { ExpertLease } from "../../../engine/contract/expert-choice.ts";
import type { ExpertCommand } from "../../../engine/contract/request.ts";
import type {
  ExpertOptions,
  ExpertSnapshot,
  ExpertState,
  ServeReason,
} from "../../../engine/contract/experts.ts";
import { ArtifactError } from "../../../model/errors.ts";
import { builtOf, denseBytes, type FakeHandle, PoolSetup } from "../../helpers/fake-experts.ts";

const memoryBytes = 100;
const tasks = ["code", "math", "chat", "law", "news"];
const names = ["general", ...tasks];
const minute = 60_000;

type Step =
  | { readonly do: "choose"; readonly task: string | null; readonly mustWait: boolean }
  | { readonly do: "release"; readonly which: number }
  | {
      readonly do: "endBuild";
      readonly result: "built" | "over-budget" | "error";
      readonly size: number;
    }
  | {
      readonly do: "endLoad";
      readonly result: "loaded" | "no memory" | "damaged";
      readonly which: number;
    }
  | { readonly do: "endRelease"; readonly which: number }
  | { readonly do: "tick"; readonly ms: number }
  | { readonly do: "command"; readonly name: string; readonly command: ExpertCommand }
  | { readonly do: "shadow"; readonly name: string; readonly kl: number };

const which = fc.nat(99);
const size = fc.constantFrom(20, 30, 30, 40, 50, 60, 101);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("choose" as const),
      task: fc.constantFrom(...tasks, ...tasks, "general", "unknown", null),
      mustWait: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("release" as const), which }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("endBuild" as const),
      result: fc.constantFrom("built", "built", "built", "built", "over-budget", "error"),
      size,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("endLoad" as const),
      result: fc.constantFrom("loaded", "loaded", "loaded", "loaded", "no memory", "damaged"),
      which,
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("endRelease" as const), which }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("tick" as const),
      ms: fc.constantFrom(100, 6000, minute, 5 * minute),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("command" as const),
      name: fc.constantFrom(...names),
      command: fc.constantFrom("build", "load", "evict"),
    }),
  },
  {
    arbitrary: fc.record({
      do: fc.constant("shadow" as const),
      name: fc.constantFrom(...names),
      kl: fc.constantFrom(0.1, 3),
    }),
    weight: 1,
  },
);

const sizes = fc.dictionary(fc.constantFrom(...names), size, { maxKeys: 4 });
const setting = fc.record({
  hasGeneral: fc.boolean(),
  policy: fc.constantFrom("task", "load-aware"),
  preload: fc.subarray(tasks, { maxLength: 2 }),
  idleMs: fc.constantFrom(null, 5000, minute),
  waiting: fc.subarray(tasks),
});

type Setting = Pick<ExpertOptions, "hasGeneral" | "policy" | "preload" | "idleMs"> & {
  readonly waiting: readonly string[];
};

/** Reasons that a state allows for a sequence that runs; loading may turn up or fall through while choosing. */
const reasonsOf: Readonly<Record<ExpertState, readonly ServeReason[]>> = {
  absent: ["building"],
  planned: ["building"],
  building: ["building"],
  stored: ["memory", "loading", "failed"],
  loading: ["loading"],
  resident: ["expert", "load"],
  draining: ["loading"],
  failed: ["failed", "building", "memory", "loading"],
  "over-budget": ["over-budget"],
  suspended: ["suspended"],
  off: ["off"],
};

interface Held {
  readonly lease: ExpertLease;
  /** What it runs on; undefined for dense. */
  readonly handle: FakeHandle | undefined;
}

interface Wait {
  readonly task: string;
  isReady: boolean;
}

/** A pool, all that happens around it, and what is expected of it, counted apart. */
class Simulation {
  readonly setup: PoolSetup;
  readonly #hasGeneral: boolean;
  #held: Held[] = [];
  #waits: Wait[] = [];
  #openCommands = 0;
  readonly #surprises: unknown[] = [];
  readonly #hits = new Map<string, number>();
  readonly #misses = new Map<string, number>();
  /** When each expert was asked for. */
  readonly #askedAtMs = new Map<string, number[]>();
  readonly #isLoadAware: boolean;
  readonly #waiting: readonly string[];

  constructor({ waiting, ...options }: Setting, onDisk: Readonly<Record<string, number>>) {
    const policyOf = (task: string) => ({
      isServed: true,
      whileBuilding: waiting.includes(task) ? ("wait" as const) : ("general" as const),
    });
    this.#hasGeneral = options.hasGeneral;
    this.#isLoadAware = options.policy === "load-aware";
    this.#waiting = waiting;
    const served = Object.fromEntries(tasks.map((task) => [task, policyOf(task)]));
    this.setup = new PoolSetup({ ...options, tasks: served, memoryBytes }, onDisk);
    this.setup.device.holdsReleases = true;
  }

  async apply(next: Step): Promise<void> {
    const { device, builder, clock, pool } = this.setup;
    switch (next.do) {
      case "choose":
        this.choose(next.task, next.mustWait);
        break;
      case "release":
        this.release(next.which);
        break;
      case "endBuild": {
        const build = builder.open[0];
        if (next.result === "error") build?.fail(new Error("disk full"));
        else build?.end(next.result === "built" ? builtOf(build.task, next.size) : null);
        break;
      }
      case "endLoad": {
        const load = pick(device.open, next.which);
        if (next.result === "loaded") load?.end();
        else if (next.result === "damaged") load?.fail(new ArtifactError("/store", "damaged"));
        else load?.fail(new InferenceError("Not enough memory."));
        break;
      }
      case "endRelease":
        device.openReleases.splice(next.which % (device.openReleases.length || 1), 1)[0]?.();
        break;
      case "tick":
        clock.advance(next.ms);
        break;
      case "command":
        this.command(next.name, next.command);
        break;
      case "shadow":
        pool.recordShadow(next.name, { tokens: 1, kl: next.kl, agreeing: 1 });
        break;
    }
    await this.setup.settle();
    this.check();
  }

  /** Everything under way ends well, all leases are given back, and so on until nothing is under way. */
  async finish(): Promise<void> {
    const { device, builder, clock } = this.setup;
    clock.advance(60 * minute);
    for (let round = 0; round < 100; round++) {
      while (this.#held.length > 0) this.release(0);
      for (const release of device.openReleases.splice(0)) release();
      for (const load of [...device.open]) load.end();
      const build = builder.open[0];
      build?.end(builtOf(build.task, 30));
      await this.setup.settle();
      this.check();
      const again = this.#waits.filter(({ isReady }) => isReady);
      this.#waits = this.#waits.filter(({ isReady }) => !isReady);
      for (const { task } of again) this.choose(task, true);
      await this.setup.settle();
      const isBusy = [device.open, device.openReleases, builder.open].some(
        (open) => open.length > 0,
      );
      if (!isBusy && this.#held.length === 0 && this.#waits.length === 0) break;
    }
    expectSame("waits that never end", this.#waits, []);
    expectSame("commands that never end", this.#openCommands, 0);
  }

  async close(): Promise<void> {
    const { device, pool, clock } = this.setup;
    let isClosed = false;
    void pool.close().then(() => (isClosed = true));
    await this.setup.settle();
    for (const release of device.openReleases.splice(0)) release();
    await this.setup.settle();
    expectSame("closed", isClosed, true);
    expectSame("bytes", device.bytes, 0);
    expectSame("timers", clock.numTimers, 0);
    for (const { name, numReleases } of device.handles) {
      expectSame(`releases of ${name}`, numReleases, 1);
    }
  }

  choose(task: string | null, mustWait: boolean): void {
    const before = this.setup.pool.snapshots();
    const known = before.find(({ name }) => name === task);
    if (task !== null && known) this.#countAsk(task);
    const isGeneralThere = this.#hasGeneral && this.setup.state("general") === "resident";
    const choice = this.setup.pool.choose(task, mustWait ? { mustWait } : {});
    const isPatient = mustWait || this.#waiting.includes(task ?? "");
    const asked = task !== null && known ? [{ name: task, isPatient }] : [];
    if (choice.kind === "run" && this.#mayShare(choice.lease) && known && task !== "general") {
      this.#countAsk("general");
      asked.push({ name: "general", isPatient: false });
    }
    this.#checkRoomMade(asked, before);
    if (choice.kind === "wait") {
      const wait = { task: task ?? "", isReady: false };
      this.#waits.push(wait);
      void choice.ready.then(() => (wait.isReady = true));
      const state = this.setup.state(wait.task);
      expectTrue(`waiting for one that is ${state}`, inProgress.has(state));
      return;
    }
    const { lease } = choice;
    const { expert, reason } = lease;
    const allowed = task === null ? ["no-task"] : known ? reasonsOf[known.state] : ["off"];
    expectTrue(`${reason} where it was ${known?.state}`, allowed.includes(reason));
    const isShared = sharing.has(reason);
    const shared = isGeneralThere ? "general" : "dense";
    expectSame("expert", expert, reason === "expert" ? task : isShared ? shared : "dense");
    count(this.#hits, expert);
    if (task !== null && ["building", "loading", "memory", "failed"].includes(reason)) {
      count(this.#misses, task);
    }
    const handle = this.setup.device.live(expert);
    expectTrue(`${expert} is in memory`, expert === "dense" || handle !== undefined);
    this.#held.push({ lease, handle });
  }

  release(which: number): void {
    const [held] = this.#held.splice(which % (this.#held.length || 1), 1);
    held?.lease.release();
    held?.lease.release();
  }

  command(name: string, command: ExpertCommand): void {
    const putOff = () => this.setup.pool.snapshots().map(({ loadsPutOff }) => loadsPutOff);
    const before = putOff();
    this.#openCommands++;
    const end = (): void => void this.#openCommands--;
    this.setup.pool.command(name, command).then(end, (error: unknown) => {
      end();
      if (!(error instanceof ExpertCommandError)) this.#surprises.push(error);
    });
    expectSame("loads put off by a command", putOff(), before);
  }

  #countAsk(name: string): void {
    const { nowMs } = this.setup.clock;
    this.#askedAtMs.set(name, [...(this.#askedAtMs.get(name) ?? []), nowMs]);
  }

  #demand(name: string): number {
    const { nowMs } = this.setup.clock;
    const asked = this.#askedAtMs.get(name) ?? [];
    return asked.reduce((sum, atMs) => sum + 0.5 ** ((nowMs - atMs) / (minute / 2)), 0);
  }

  #mayShare({ task, reason }: ExpertLease): boolean {
    return this.#hasGeneral && task !== null && (this.#isLoadAware || sharing.has(reason));
  }

  /** What left for those that were asked for is no busier than may be, and what was put off was so for busier ones. */
  #checkRoomMade(
    asked: readonly { readonly name: string; readonly isPatient: boolean }[],
    before: readonly ExpertSnapshot[],
  ): void {
    // Where both are even, rounding decides.
    const isBusier = (name: string, other: string, margin: number) =>
      this.#demand(name) > 2 + margin && 2 * this.#demand(name) > this.#demand(other) + margin;
    for (const { name, evictionReasons, loadsPutOff, running } of before) {
      const now = this.setup.snapshot(name);
      if ((now.evictionReasons.memory ?? 0) > (evictionReasons.memory ?? 0)) {
        expectSame(`running on ${name}, which left`, running, 0);
        const mayLeave = asked.some((one) => one.isPatient || !isBusier(name, one.name, 1e-9));
        expectTrue(`${name} leaves for one that is asked for more`, mayLeave);
      }
      if (now.loadsPutOff === loadsPutOff) continue;
      expectSame(`loads of ${name} put off`, now.loadsPutOff, loadsPutOff + 1);
      expectSame(`state of ${name}, which was put off`, now.state, "stored");
      const isAsked = asked.some((one) => one.name === name && !one.isPatient);
      expectTrue(`${name} was asked for by those who do not wait`, isAsked);
      const idle = before.filter(
        (one) => one.state === "resident" && one.running === 0 && one.name !== "general",
      );
      expectTrue(
        `${name} is put off for busier ones`,
        idle.some((one) => isBusier(one.name, name, -1e-9)),
      );
    }
  }

  check(): void {
    const { device, builder, pool } = this.setup;
    expectTrue(`${device.bytes} bytes are within ${memoryBytes}`, device.bytes <= memoryBytes);
    expectSame("errors of commands", this.#surprises, []);
    expectTrue("one build at a time", builder.open.length <= 1);
    for (const { lease, handle } of this.#held) {
      expectSame(`releases of ${lease.expert}, which is in use`, handle?.numReleases ?? 0, 0);
    }
    const released = device.handles.filter(({ numReleases }) => numReleases > 0).length;
    expectTrue(
      "each handle is released once",
      device.handles.every(({ numReleases }) => numReleases <= 1),
    );
    const snapshots = pool.snapshots();
    expectSame("told", this.setup.told.at(-1), snapshots);
    let draining = 0;
    for (const one of snapshots) {
      const { name, state } = one;
      const live = device.handles.filter((handle) => handle.name === name && !handle.isGone);
      const loads = device.open.filter((load) => load.name === name);
      const leases = this.#held.filter(({ lease }) => lease.expert === name);
      expectTrue(`${name} is at most once in memory`, live.length + loads.length <= 1);
      expectSame(`running on ${name}`, one.running, leases.length);
      expectSame(`hits of ${name}`, one.hits, this.#hits.get(name) ?? 0);
      expectSame(`misses of ${name}`, one.misses, this.#misses.get(name) ?? 0);
      const ownBytes = name === "dense" ? denseBytes : 0;
      expectSame(`bytes of ${name}`, one.residentBytes, live[0]?.sizeBytes ?? ownBytes);
      if (live[0]?.numReleases === 0 && state === "draining") draining++;
      if (live[0]?.numReleases === 0 && state === "suspended") draining++;
      if (state === "failed") expectTrue(`${name} says why it failed`, one.problem !== null);
      const isBuilding = builder.open[0]?.task === name;
      if (isBuilding) expectTrue(`${name} is ${state}`, ["building", "suspended"].includes(state));
      if (state === "building") expectTrue(`${name} is being built`, isBuilding);
      if (loads[0]) expectTrue(`${name} is ${state}`, ["loading", "suspended"].includes(state));
      if (state === "resident" && name !== "dense") expectSame(`${name}`, live[0]?.numReleases, 0);
    }
    // One that is to go but is still in use has been counted, and may yet be kept by a command.
    const evictions = snapshots.reduce((sum, one) => sum + one.evictions, 0);
    expectTrue("all that leave are counted", evictions >= released + draining);
  }
}

const sharing: ReadonlySet<ServeReason> = new Set(["building", "loading", "memory", "load"]);
const inProgress: ReadonlySet<string> = new Set(["planned", "building", "loading", "draining"]);

function pick<Item>(items: readonly Item[], index: number): Item | undefined {
  return items[index % (items.length || 1)];
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function expectTrue(what: string, isTrue: boolean): void {
  if (!isTrue) throw new Error(`Expected: ${what}.`);
}

function expectSame(what: string, actual: unknown, expected: unknown): void {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}.`);
}

test("whatever happens in whatever order, memory, leases, builds and counts are right", async (t) => {
  t.timeout(120_000);
  const property = fc.asyncProperty(
    setting,
    sizes,
    fc.array(step, { minLength: 10, maxLength: 60, size: "max" }),
    async (options, onDisk, steps) => {
      const simulation = new Simulation(options, onDisk);
      for (const next of steps) await simulation.apply(next);
      await simulation.finish();
      await simulation.close();
    },
  );
  await t.notThrowsAsync(fc.assert(property, { numRuns: 500 }));
});
