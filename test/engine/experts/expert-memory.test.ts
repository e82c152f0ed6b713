import test from "ava";
import { InferenceError } from "../../../engine/contract/errors.ts";
import type { TaskPolicy } from "../../../engine/contract/experts.ts";
import { ArtifactError } from "../../../model/errors.ts";
import { builtOf, PoolSetup, readyOf, watch } from "../../helpers/fake-experts.ts";
import { seededRandom } from "../../helpers/random-problem.ts";

const minute = 60_000;
const noMemory = new InferenceError("Not enough memory.");
const damaged = new ArtifactError("/store/code", "the checksum is wrong");
const waiting: TaskPolicy = { isServed: true, whileBuilding: "wait" };
const served: TaskPolicy = { isServed: true, whileBuilding: "general" };

test("the least recently used idle expert leaves for another", async (t) => {
  const setup = new PoolSetup({}, { code: 90, math: 90, chat: 90 });
  await setup.bring("code");
  await setup.bring("math");
  setup.run("code").release();
  t.is(setup.run("chat").reason, "loading");
  await setup.settle();
  await setup.endLoad();
  t.is(setup.state("math"), "stored");
  t.is(setup.state("code"), "resident");
  t.like(setup.snapshot("math"), { evictions: 1, residentBytes: 0 });
  t.is(setup.device.bytes, 180);
});

test("a load begins when the memory that it needs is free", async (t) => {
  const setup = new PoolSetup({ memoryBytes: 100 }, { code: 90, math: 90 });
  await setup.bring("code");
  setup.device.holdsReleases = true;
  setup.run("math");
  await setup.settle();
  t.is(setup.state("math"), "loading");
  t.is(setup.state("code"), "draining");
  t.is(setup.snapshot("code").residentBytes, 90);
  t.is(setup.run("code").reason, "loading");
  t.deepEqual(setup.device.open, []);
  setup.device.openReleases[0]!();
  await setup.settle();
  t.is(setup.state("code"), "stored");
  t.is(setup.device.open.length, 1);
});

test("D50: experts in use stay, and a shared middle answers for what has no room", async (t) => {
  const setup = new PoolSetup({}, { code: 90, math: 90, chat: 90 });
  await setup.bring("code");
  await setup.bring("math");
  const [code, math] = [setup.run("code"), setup.run("math")];
  t.like(setup.run("chat"), { expert: "dense", reason: "memory" });
  t.is(setup.state("chat"), "stored");
  t.regex(setup.snapshot("chat").problem ?? "", /takes 90 bytes/);
  code.release();
  t.is(setup.state("chat"), "stored");
  t.is(setup.run("chat").reason, "loading");
  await setup.settle();
  await setup.endLoad();
  t.is(setup.run("chat").reason, "expert");
  t.is(setup.snapshot("chat").problem, null);
  t.is(setup.state("code"), "stored");
  math.release();
});

test("D48: nothing leaves for an expert that would not fit all the same", async (t) => {
  const setup = new PoolSetup({}, { code: 90, math: 60, chat: 150 });
  await setup.bring("code");
  await setup.bring("math");
  setup.run("code");
  t.is(setup.run("chat").reason, "memory");
  t.is(setup.state("math"), "resident");
});

test("an expert larger than all memory fails and says so", async (t) => {
  const setup = new PoolSetup({}, { code: 201 });
  await setup.settle();
  t.like(setup.run("code"), { expert: "dense", reason: "failed" });
  t.like(setup.snapshot("code"), { state: "failed", retryAtMs: null });
  t.regex(setup.snapshot("code").problem ?? "", /201 bytes, .* 200/);
  setup.clock.advance(100 * minute);
  t.is(setup.run("code").reason, "failed");
});

test("an expert that becomes idle for long enough leaves memory", async (t) => {
  const setup = new PoolSetup({ idleMs: 1000 }, { code: 90 });
  await setup.bring("code");
  setup.clock.advance(900);
  const lease = setup.run("code");
  setup.clock.advance(5000);
  t.is(setup.state("code"), "resident");
  lease.release();
  setup.clock.advance(999);
  t.is(setup.state("code"), "resident");
  setup.clock.advance(1);
  await setup.settle();
  t.is(setup.state("code"), "stored");
  t.is(setup.clock.numTimers, 0);
});

test("an expert that is loaded and never used leaves memory too", async (t) => {
  const setup = new PoolSetup({ idleMs: 1000, preload: ["code"] }, { code: 90 });
  await setup.settle();
  await setup.endLoad();
  setup.clock.advance(1000);
  await setup.settle();
  t.is(setup.state("code"), "stored");
});

test("D48: when memory cannot be had, idle experts leave and the load is tried once more", async (t) => {
  const setup = new PoolSetup({ memoryBytes: 1000 }, { code: 90, math: 90, chat: 90 });
  await setup.bring("code");
  await setup.bring("math");
  const lease = setup.run("math");
  setup.run("chat");
  await setup.settle();
  await setup.endLoad(noMemory);
  t.is(setup.state("code"), "stored");
  t.is(setup.state("math"), "resident");
  t.is(setup.state("chat"), "loading");
  await setup.endLoad();
  t.is(setup.state("chat"), "resident");
  lease.release();
});

test("a second refusal of memory fails that expert alone, and is tried again without a build", async (t) => {
  const setup = new PoolSetup({ memoryBytes: 1000 }, { code: 90, math: 90 });
  await setup.bring("math");
  const lease = setup.run("math");
  setup.run("code");
  await setup.settle();
  await setup.endLoad(noMemory);
  await setup.endLoad(noMemory);
  const problem = "It could not be loaded: the log says why.";
  t.like(setup.snapshot("code"), { state: "failed", problem });
  t.true(setup.lines.some((line) => line.includes("Not enough memory.")));
  t.like(setup.run("code"), { expert: "dense", reason: "failed" });
  t.is(setup.run("math").reason, "expert");
  setup.clock.advance(minute);
  t.is(setup.run("code").reason, "loading");
  await setup.settle();
  await setup.endLoad();
  t.is(setup.run("code").reason, "expert");
  t.deepEqual(setup.builder.began, []);
  lease.release();
});

test("a damaged expert is built again once, then fails", async (t) => {
  const setup = new PoolSetup({ tasks: { code: waiting } }, { code: 90 });
  await setup.settle();
  const isReady = watch(readyOf(setup.pool, "code"));
  await setup.settle();
  await setup.endLoad(damaged);
  t.is(setup.state("code"), "building");
  await setup.endBuild(builtOf("code", 90));
  t.false(isReady());
  await setup.endLoad(damaged);
  t.true(isReady());
  t.like(setup.snapshot("code"), { state: "failed", problem: damaged.message, built: null });
  t.deepEqual(setup.builder.began, ["code"]);
});

test("an expert that was rebuilt and loaded may be damaged again", async (t) => {
  const setup = new PoolSetup({}, { code: 90 });
  await setup.settle();
  setup.run("code");
  await setup.settle();
  for (let i = 0; i < 2; i++) {
    await setup.endLoad(damaged);
    await setup.endBuild(builtOf("code", 90));
    await setup.endLoad();
    await setup.pool.command("code", "evict");
    setup.run("code");
    await setup.settle();
  }
  t.is(setup.state("code"), "loading");
});

test("an expert that somebody waited for stays until it is used, or they gave up", async (t) => {
  const tasks = { code: waiting, math: served };
  const setup = new PoolSetup({ tasks, memoryBytes: 100 }, { code: 90, math: 90 });
  await setup.settle();
  void readyOf(setup.pool, "code");
  await setup.settle();
  await setup.endLoad();
  t.is(setup.run("math").reason, "memory");
  setup.run("code").release();
  setup.clock.advance(minute);
  t.is(setup.run("math").reason, "loading");
  await setup.settle();
  await setup.endLoad();
  void readyOf(setup.pool, "code");
  await setup.settle();
  await setup.endLoad();
  t.is(setup.run("math").reason, "memory");
  setup.clock.advance(5000);
  t.is(setup.run("math").reason, "loading");
});

test("the general expert does not leave for want of use", async (t) => {
  const options = { hasGeneral: true, preload: ["general"], idleMs: 1000 };
  const setup = new PoolSetup(options, { general: 90 });
  await setup.settle();
  await setup.endLoad();
  setup.clock.advance(10_000);
  t.is(setup.state("general"), "resident");
});

test("D50: evicting an expert in use waits for the last sequence, and new ones do not get it", async (t) => {
  const setup = new PoolSetup({}, { code: 90 });
  await setup.bring("code");
  const leases = [setup.run("code"), setup.run("code")];
  t.is((await setup.pool.command("code", "evict")).state, "draining");
  t.like(setup.run("code"), { expert: "dense", reason: "loading" });
  leases[0]!.release();
  leases[0]!.release();
  await setup.settle();
  t.is(setup.device.handles[0]!.numReleases, 0);
  leases[1]!.release();
  await setup.settle();
  t.is(setup.state("code"), "stored");
  t.is(setup.device.handles[0]!.numReleases, 1);
});

test("evicting an idle expert is done when its memory is free", async (t) => {
  const setup = new PoolSetup({}, { code: 90 });
  await setup.bring("code");
  t.like(await setup.pool.command("code", "evict"), { state: "stored", evictions: 1 });
  t.is(setup.device.bytes, 0);
  t.is((await setup.pool.command("code", "evict")).evictions, 1);
});

test("evicting an expert that is loading sends it away when it has come", async (t) => {
  const setup = new PoolSetup({}, { code: 90 });
  await setup.settle();
  setup.run("code");
  await setup.settle();
  await setup.pool.command("code", "evict");
  await setup.endLoad();
  t.is(setup.state("code"), "stored");
  t.is(setup.device.bytes, 0);
});

test("loading an expert that drains keeps it", async (t) => {
  const setup = new PoolSetup({}, { code: 90 });
  await setup.bring("code");
  const lease = setup.run("code");
  await setup.pool.command("code", "evict");
  t.is((await setup.pool.command("code", "load")).state, "resident");
  lease.release();
  await setup.settle();
  t.is(setup.state("code"), "resident");
  t.is(setup.device.handles[0]!.numReleases, 0);
});

test("nothing is loaded any more once memory is to be left", async (t) => {
  const setup = new PoolSetup({ memoryBytes: 100 }, { code: 90, math: 90 });
  await setup.bring("code");
  setup.device.holdsReleases = true;
  setup.run("math");
  const isClosed = watch(setup.pool.close());
  setup.device.openReleases[0]!();
  await setup.settle();
  t.true(isClosed());
  t.deepEqual(setup.device.began, ["code"]);
});

test("a busy expert stays until another is asked for twice as much of late", async (t) => {
  const setup = new PoolSetup({ memoryBytes: 100 }, { code: 90, math: 90 });
  await setup.bring("code");
  for (let i = 0; i < 3; i++) setup.run("code").release();
  for (let i = 1; i < 8; i++) {
    t.like(setup.run("math"), { expert: "dense", reason: "memory" });
    t.like(setup.snapshot("math"), { state: "stored", loadsPutOff: i });
  }
  t.regex(
    setup.snapshot("math").problem ?? "",
    /takes 90 bytes, and those that are asked for more/,
  );
  t.is(setup.state("code"), "resident");
  t.is(setup.run("math").reason, "loading");
  t.is(setup.snapshot("math").loadsPutOff, 7);
});

test("one that nobody asks for any more leaves at the first request of another", async (t) => {
  const setup = new PoolSetup({ memoryBytes: 100 }, { code: 90, math: 90 });
  await setup.bring("code");
  for (let i = 1; i < 64; i++) setup.run("code").release();
  setup.clock.advance(2 * minute);
  t.is(setup.run("math").reason, "memory");
  setup.clock.advance(minute / 2);
  t.is(setup.run("math").reason, "loading");
});

test("two requests of late keep no expert in memory", async (t) => {
  const setup = new PoolSetup({}, { code: 90, math: 90, chat: 90 });
  for (const task of ["code", "math"]) {
    await setup.bring(task);
    setup.run(task).release();
  }
  await setup.bring("chat");
  t.is(setup.state("code"), "stored");
  t.is(setup.state("chat"), "resident");
  t.is(setup.snapshot("chat").loadsPutOff, 0);
});

test("busy experts leave for one that somebody waits for, and for the command load", async (t) => {
  const setup = new PoolSetup({ memoryBytes: 100 }, { code: 90, math: 90, chat: 90 });
  const keepBusy = (task: string) => {
    for (let i = 0; i < 9; i++) setup.run(task).release();
  };
  await setup.bring("code");
  keepBusy("code");
  const isReady = watch(readyOf(setup.pool, "math", { mustWait: true }));
  await setup.settle();
  await setup.endLoad();
  t.true(isReady());
  keepBusy("math");
  const loaded = setup.pool.command("chat", "load");
  await setup.settle();
  await setup.endLoad();
  t.is((await loaded).state, "resident");
  keepBusy("chat");
  t.is(setup.run("code").reason, "memory");
});

test("what was waited for, or commanded, while it was not built yet comes in place of a busy one", async (t) => {
  const setup = new PoolSetup({ memoryBytes: 100 }, { code: 90 });
  await setup.bring("code");
  await setup.pool.command("math", "load");
  setup.run("chat");
  for (let i = 0; i < 9; i++) setup.run("code").release();
  await setup.endBuild(builtOf("math", 90));
  t.is(setup.state("math"), "loading");
  await setup.endLoad();
  for (let i = 0; i < 9; i++) setup.run("math").release();
  await setup.endBuild(builtOf("chat", 90));
  t.like(setup.snapshot("chat"), { state: "stored", loadsPutOff: 1 });
});

test("eight busy tasks with room for three experts load a few times, not with each request", async (t) => {
  const tasks = Array.from({ length: 8 }, (_, i) => `task${i}`);
  const setup = new PoolSetup(
    { tasks: Object.fromEntries(tasks.map((task) => [task, served])), memoryBytes: 300 },
    Object.fromEntries(tasks.map((task) => [task, 90])),
  );
  await setup.settle();
  const random = seededRandom(1);
  const reasons = new Map<string, number>();
  for (let i = 0; i < 1000; i++) {
    const lease = setup.run(tasks[Math.floor(random() * tasks.length)]!);
    reasons.set(lease.reason, (reasons.get(lease.reason) ?? 0) + 1);
    lease.release();
    setup.clock.advance(600);
    await setup.settle();
    while (setup.device.open.length > 0) await setup.endLoad();
  }
  const loads = setup.device.began.length;
  t.true(loads >= 3 && loads <= 20, `${loads} loads`);
  t.true((reasons.get("expert") ?? 0) > 300, `${reasons.get("expert")} on their experts`);
  const putOff = setup.pool.snapshots().reduce((sum, each) => sum + each.loadsPutOff, 0);
  t.is(putOff, reasons.get("memory") ?? 0);
});
