import test from "ava";
import { ExpertCommandError, EngineStoppedError } from "../../../engine/contract/errors.ts";
import type { TaskPolicy } from "../../../engine/contract/experts.ts";
import { builtOf, denseBytes, PoolSetup, readyOf, watch } from "../../helpers/fake-experts.ts";

const minute = 60_000;
const waiting: TaskPolicy = { isServed: true, whileBuilding: "wait" };
const served: TaskPolicy = { isServed: true, whileBuilding: "general" };

test("the first request of a task is answered by dense while its expert is built and loaded", async (t) => {
  const setup = new PoolSetup();
  await setup.settle();
  t.like(setup.run("code"), { expert: "dense", task: "code", reason: "building" });
  t.is(setup.state("code"), "building");
  await setup.endBuild(builtOf("code", 90));
  t.is(setup.state("code"), "loading");
  t.like(setup.run("code"), { expert: "dense", reason: "loading" });
  setup.clock.advance(130);
  await setup.endLoad();
  t.like(setup.run("code"), { expert: "code", reason: "expert" });
  t.like(setup.snapshot("code"), {
    ...{ state: "resident", residentBytes: 90, running: 1, hits: 1, misses: 2 },
    ...{ loadSeconds: 0.13, lastUsedMs: setup.clock.nowMs, progress: null, problem: null },
  });
});

test("without a task, or with one that has no expert, dense answers", async (t) => {
  const off: TaskPolicy = { isServed: false, whileBuilding: "general" };
  const setup = new PoolSetup({ tasks: { code: off } });
  await setup.settle();
  t.like(setup.run(null), { expert: "dense", task: null, reason: "no-task" });
  t.like(setup.run("code"), { expert: "dense", task: "code", reason: "off" });
  t.like(setup.run("poetry"), { expert: "dense", task: "poetry", reason: "off" });
  t.is(setup.state("code"), "off");
  t.deepEqual(setup.builder.began, []);
  t.like(setup.snapshot("dense"), {
    state: "resident",
    running: 3,
    hits: 3,
    residentBytes: denseBytes,
  });
});

test("who is to wait gets the expert", async (t) => {
  const setup = new PoolSetup({ tasks: { code: waiting, math: served } });
  await setup.settle();
  const areReady = [
    watch(readyOf(setup.pool, "code")),
    watch(readyOf(setup.pool, "math", { mustWait: true })),
  ] as const;
  await setup.endBuild(builtOf("code", 90));
  await setup.endLoad();
  t.deepEqual([areReady[0](), areReady[1]()], [true, false]);
  t.is(setup.run("code").reason, "expert");
  await setup.endBuild(builtOf("math", 90));
  await setup.endLoad();
  t.true(areReady[1]());
  t.is(setup.run("math", { mustWait: true }).reason, "expert");
  t.is(setup.snapshot("code").misses, 0);
});

test("a request that is not to wait does not, whatever the policy", async (t) => {
  const setup = new PoolSetup({ tasks: { code: waiting } });
  await setup.settle();
  t.is(setup.run("code", { mustWait: false }).reason, "building");
});

test("who waits learns of a failure, of a quality out of reach and of a lack of room", async (t) => {
  const tasks = { code: waiting, math: waiting, chat: waiting };
  const setup = new PoolSetup({ tasks, memoryBytes: 100 });
  await setup.settle();
  const codeReady = watch(readyOf(setup.pool, "code"));
  await setup.endBuild(new Error("disk full"));
  t.true(codeReady());
  t.is(setup.run("code", { mustWait: true }).reason, "failed");

  const mathReady = watch(readyOf(setup.pool, "math"));
  await setup.endBuild(null);
  t.true(mathReady());
  t.is(setup.run("math").reason, "over-budget");

  setup.clock.advance(minute);
  void readyOf(setup.pool, "code");
  await setup.endBuild(builtOf("code", 90));
  await setup.endLoad();
  const lease = setup.run("code");
  const chatReady = watch(readyOf(setup.pool, "chat"));
  await setup.endBuild(builtOf("chat", 90));
  t.true(chatReady());
  t.is(setup.run("chat").reason, "memory");
  lease.release();
});

test("the general expert answers for those that are not there, and is never sent away for them", async (t) => {
  const onDisk = { general: 90, code: 90, math: 90 };
  const setup = new PoolSetup({ hasGeneral: true }, onDisk);
  await setup.settle();
  t.is(setup.run("code").expert, "dense");
  await setup.settle();
  await setup.endLoad();
  await setup.endLoad();
  t.like(setup.run("math"), { expert: "general", reason: "loading" });
  await setup.settle();
  t.is(setup.state("general"), "resident");
  t.is(setup.state("code"), "stored");
  t.is(setup.run(null).expert, "dense");
});

test("a person may send the general expert away", async (t) => {
  const setup = new PoolSetup({ hasGeneral: true, preload: ["general"] }, { general: 90 });
  await setup.settle();
  await setup.endLoad();
  t.is((await setup.pool.command("general", "evict")).state, "stored");
});

test("under load small groups share a middle, and those that the client named do not", async (t) => {
  const onDisk = { general: 50, code: 50, math: 50, chat: 50 };
  const setup = new PoolSetup({ hasGeneral: true, policy: "load-aware" }, onDisk);
  await setup.settle();
  for (const task of ["code", "math", "chat"]) setup.run(task).release();
  await setup.settle();
  while (setup.device.open[0]) await setup.endLoad();
  const first = setup.run("code");
  t.is(first.reason, "expert");
  t.like(setup.run("math"), { expert: "general", reason: "load" });
  t.like(setup.run("math", { isAssigned: true }), { expert: "math", reason: "expert" });
  t.is(setup.snapshot("math").misses, 1);
});

test("without a general expert dense is what is shared under load", async (t) => {
  const setup = new PoolSetup({ policy: "load-aware" }, { code: 50, math: 50 });
  await setup.bring("code");
  await setup.bring("math");
  t.is(setup.run("code").expert, "code");
  t.like(setup.run("math"), { expert: "dense", reason: "load" });
});

test("an expert that differs from dense by too much is suspended until a person lifts that", async (t) => {
  const setup = new PoolSetup({}, { code: 90 });
  await setup.bring("code");
  const lease = setup.run("code");
  const record = { tokens: 10, kl: 6, agreeing: 7 };
  setup.pool.recordShadow("code", record);
  setup.pool.recordShadow("code", record);
  t.is(setup.state("code"), "resident");
  setup.pool.recordShadow("code", record);
  setup.pool.recordShadow("code", record);
  t.is(setup.state("code"), "suspended");
  t.deepEqual(setup.snapshot("code").shadow, {
    ...{ requests: 4, tokens: 40, kl: 0.6, topAgreement: 0.7 },
  });
  t.is(setup.lines.filter((line) => line.includes("suspended")).length, 1);
  t.like(setup.run("code"), { expert: "dense", reason: "suspended" });
  t.is(setup.snapshot("code").residentBytes, 90);
  lease.release();
  await setup.settle();
  t.is(setup.snapshot("code").residentBytes, 0);
  await t.throwsAsync(setup.pool.command("code", "load"), { instanceOf: ExpertCommandError });
  t.like(await setup.pool.command("code", "build"), { state: "stored", problem: null });
  t.is(setup.snapshot("code").shadow, null);
  t.is(setup.run("code").reason, "loading");
});

test("who waits for an expert that is suspended meanwhile learns of it at once", async (t) => {
  const setup = new PoolSetup({ tasks: { code: waiting } }, { code: 90 });
  await setup.settle();
  const isReady = watch(readyOf(setup.pool, "code"));
  for (let i = 0; i < 3; i++) {
    setup.pool.recordShadow("code", { tokens: 1, kl: 1, agreeing: 0 });
  }
  await setup.settle();
  t.true(isReady());
  t.is(setup.run("code").reason, "suspended");
  await setup.endLoad();
  t.like(setup.snapshot("code"), { state: "suspended", residentBytes: 0 });
});

test("an expert close to dense stays in service", async (t) => {
  const setup = new PoolSetup({}, { code: 90 });
  await setup.bring("code");
  for (let i = 0; i < 9; i++) {
    setup.pool.recordShadow("code", { tokens: 10, kl: 5, agreeing: 9 });
  }
  t.is(setup.state("code"), "resident");
  t.notThrows(() => setup.pool.recordShadow("dense", { tokens: 1, kl: 9, agreeing: 0 }));
});

test("the command load is done when the expert is there, and the command build when it is planned", async (t) => {
  const setup = new PoolSetup({}, { code: 90 });
  await setup.settle();
  const loaded = setup.pool.command("code", "load");
  await setup.settle();
  await setup.endLoad();
  t.is((await loaded).state, "resident");
  t.is((await setup.pool.command("math", "build")).state, "building");
  t.is((await setup.pool.command("chat", "load")).state, "planned");
  await setup.endBuild(builtOf("math", 90));
  t.is(setup.state("math"), "stored");
  await setup.endBuild(builtOf("chat", 90));
  t.is(setup.state("chat"), "loading");
});

test("commands do not wait for the time to try again", async (t) => {
  const setup = new PoolSetup();
  await setup.settle();
  setup.run("code");
  await setup.endBuild(new Error("disk full"));
  t.is((await setup.pool.command("code", "build")).state, "building");
  await setup.endBuild(null);
  await t.throwsAsync(setup.pool.command("code", "load"), { message: /over-budget/ });
  t.is((await setup.pool.command("code", "build")).state, "building");
});

test("a command that cannot be done says why", async (t) => {
  const setup = new PoolSetup({ memoryBytes: 100 }, { code: 90, math: 90 });
  await setup.bring("code");
  setup.run("code");
  const failure = { instanceOf: ExpertCommandError };
  await t.throwsAsync(setup.pool.command("math", "load"), { ...failure, message: /leave no room/ });
  await t.throwsAsync(setup.pool.command("poetry", "load"), {
    ...failure,
    message: 'Expected an expert of code, math, chat, got "poetry".',
  });
  await t.throwsAsync(setup.pool.command("dense", "evict"), failure);
});

test("a preloaded expert that does not exist is refused", (t) => {
  t.throws(() => new PoolSetup({ preload: ["poetry"] }), { instanceOf: ExpertCommandError });
});

test("changes are told together, and all of them", async (t) => {
  const setup = new PoolSetup({}, { code: 90 });
  await setup.settle();
  const before = setup.told.length;
  const leases = [setup.run("code"), setup.run("code"), setup.run(null)];
  for (const lease of leases) lease.release();
  await Promise.resolve();
  t.is(setup.told.length, before + 1);
  t.deepEqual(
    setup.told.at(-1)!.map(({ name }) => name),
    ["dense", "code", "math", "chat"],
  );
  await setup.settle();
  await setup.endLoad();
  t.deepEqual(setup.told.at(-1), setup.pool.snapshots());
});

test("closing stops the build, ends all waiting and frees memory after the last lease", async (t) => {
  const tasks = { code: waiting, math: served, chat: served };
  const setup = new PoolSetup({ tasks, idleMs: 1000 }, { math: 90, chat: 90 });
  await setup.bring("math");
  setup.run("chat");
  const lease = setup.run("math");
  const isReady = watch(readyOf(setup.pool, "code"));
  await setup.settle();
  const { signal } = setup.builder.open[0]!;
  const isClosed = watch(setup.pool.close());
  const isClosedAgain = watch(setup.pool.close());
  await setup.settle();
  t.true(signal.aborted);
  t.true(isReady());
  t.is(setup.run("code").expert, "dense");
  await t.throwsAsync(setup.pool.command("code", "build"), { instanceOf: EngineStoppedError });
  await setup.endLoad();
  t.false(isClosed());
  lease.release();
  await setup.settle();
  t.true(isClosed() && isClosedAgain());
  t.deepEqual(setup.builder.open, []);
  t.is(setup.device.bytes, 0);
  t.is(setup.clock.numTimers, 0);
});

test("a task alone runs on its own expert, also where dense seemed faster", async (t) => {
  const setup = new PoolSetup({ policy: "load-aware" }, { code: 50, math: 50 });
  const slow = { fixedSeconds: 1000, perRowSeconds: 1 };
  Object.assign(setup.device.costs, { code: slow, math: slow });
  await setup.settle();
  for (const task of ["code", "math"]) setup.run(task).release();
  await setup.settle();
  while (setup.device.open[0]) await setup.endLoad();
  const first = setup.run("code");
  t.is(first.reason, "expert");
  first.release();
  setup.run(null);
  t.like(setup.run("math"), { expert: "dense", reason: "load" });
});
