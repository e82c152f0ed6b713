import test from "ava";
import { builtOf, PoolSetup } from "../../helpers/fake-experts.ts";

const minute = 60_000;

test("D49: many first requests start one build and one load", async (t) => {
  const setup = new PoolSetup();
  for (let i = 0; i < 5; i++) setup.run("code");
  await setup.settle();
  for (let i = 0; i < 5; i++) setup.run("code");
  await setup.endBuild(builtOf("code", 90));
  for (let i = 0; i < 5; i++) setup.run("code");
  await setup.endLoad();
  t.deepEqual(setup.builder.began, ["code"]);
  t.deepEqual(setup.device.began, ["code"]);
});

test("experts are built one at a time: preloaded ones first, then in order of request, general once there are two", async (t) => {
  const setup = new PoolSetup({ hasGeneral: true, preload: ["chat"], memoryBytes: 1000 });
  for (const task of ["math", "code", "math"]) setup.run(task).release();
  await setup.settle();
  const order = [];
  while (setup.builder.open[0]) {
    t.is(setup.builder.open.length, 1);
    const { task } = setup.builder.open[0];
    order.push(task);
    await setup.endBuild(builtOf(task, 90));
    setup.run("code").release();
    await setup.settle();
  }
  t.deepEqual(order, ["chat", "math", "code", "general"]);
});

test("a general expert that is preloaded is built in its turn", async (t) => {
  const setup = new PoolSetup({ hasGeneral: true, preload: ["general", "chat"] });
  await setup.settle();
  t.deepEqual(setup.builder.began, ["general"]);
  t.is(setup.state("chat"), "planned");
});

test("what is on disk already is loaded when it is asked for, not built", async (t) => {
  const setup = new PoolSetup({}, { code: 90, math: 80 });
  setup.run("math");
  await setup.settle();
  t.is(setup.state("code"), "stored");
  t.is(setup.state("chat"), "absent");
  t.is(setup.state("math"), "loading");
  t.deepEqual(setup.builder.began, []);
  t.is(setup.snapshot("code").built?.sizeBytes, 90);
});

test("the progress of a build is shown while it goes on", async (t) => {
  const setup = new PoolSetup();
  setup.run("code");
  await setup.settle();
  const progress = { phase: "code: calibrating", share: 0.5 };
  const build = setup.builder.open[0]!;
  build.onProgress(progress);
  t.deepEqual(setup.snapshot("code").progress, progress);
  await setup.endBuild(builtOf("code", 90));
  build.onProgress(progress);
  t.is(setup.snapshot("code").progress, null);
});

test("a failed build is tried again after a minute, then after twice as long, up to half an hour", async (t) => {
  const setup = new PoolSetup();
  await setup.settle();
  for (const minutes of [1, 2, 4, 8, 16, 30, 30]) {
    setup.run("code");
    await setup.endBuild(new Error("disk full"));
    const retryAtMs = setup.clock.nowMs + minutes * minute;
    t.like(setup.snapshot("code"), { state: "failed", problem: "disk full", retryAtMs });
    setup.clock.advance(minutes * minute - 1);
    t.like(setup.run("code"), { expert: "dense", reason: "failed" });
    setup.clock.advance(1);
  }
  setup.run("code");
  t.like(setup.snapshot("code"), { state: "building", problem: null, retryAtMs: null });
  t.is(setup.lines.filter((line) => line.includes("disk full")).length, 7);
});

test("a failed build keeps no other expert from being built", async (t) => {
  const setup = new PoolSetup();
  await setup.settle();
  setup.run("code");
  setup.run("math");
  await setup.endBuild(new Error("disk full"));
  t.is(setup.state("math"), "building");
});

test("where no sparsity keeps the quality, dense answers and nothing is built again", async (t) => {
  const setup = new PoolSetup();
  await setup.settle();
  setup.run("code");
  await setup.endBuild(null);
  setup.clock.advance(100 * minute);
  t.like(setup.run("code"), { expert: "dense", reason: "over-budget" });
  t.is(setup.builder.began.length, 1);
});
