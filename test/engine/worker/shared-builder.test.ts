import { setImmediate } from "node:timers/promises";
import test from "ava";
import type { BuildProgress } from "../../../engine/contract/experts.ts";
import { SharedBuilder } from "../../../engine/worker/shared-builder.ts";
import { builtOf, FakeBuilder } from "../../helpers/fake-experts.ts";

function setUp() {
  const builder = new FakeBuilder();
  const shared = new SharedBuilder(builder);
  return {
    builder,
    shared,
    /** Asks as one of several engines does. */
    ask: (task: string) => {
      const controller = new AbortController();
      const seen: BuildProgress[] = [];
      const onProgress = (progress: BuildProgress) => void seen.push(progress);
      const built = shared.build(task, { signal: controller.signal, onProgress });
      built.catch(() => undefined);
      return { built, seen, leave: () => controller.abort(new Error("left")) };
    },
  };
}

test("what several ask for at once is built once, and all see how it goes", async (t) => {
  const { builder, ask } = setUp();
  const [one, other] = [ask("code"), ask("code")];
  await setImmediate();
  t.deepEqual(builder.began, ["code"]);
  const progress = { phase: "code: pruning", share: 0.5 };
  builder.open[0]!.onProgress(progress);
  t.deepEqual([one.seen, other.seen], [[progress], [progress]]);
  const built = builtOf("code", 10);
  builder.open[0]!.end(built);
  t.deepEqual([await one.built, await other.built], [built, built]);
});

test("who asks when it is built has the builder asked again", async (t) => {
  const { builder, ask } = setUp();
  for (let times = 0; times < 2; times++) {
    const { built } = ask("code");
    await setImmediate();
    builder.open[0]!.end(null);
    t.is(await built, null);
  }
  t.deepEqual(builder.began, ["code", "code"]);
});

test("another task is built afterwards, also when the one before failed", async (t) => {
  const { builder, ask } = setUp();
  const [code, math] = [ask("code"), ask("math")];
  await setImmediate();
  t.deepEqual(builder.began, ["code"]);
  builder.open[0]!.fail(new Error("no disk"));
  await t.throwsAsync(code.built, { message: "no disk" });
  await setImmediate();
  t.deepEqual(builder.began, ["code", "math"]);
  builder.open[0]!.end(null);
  t.is(await math.built, null);
});

test("one of two who leaves does so at once, and the build goes on; the last one ends it", async (t) => {
  const { builder, ask } = setUp();
  const [one, other] = [ask("code"), ask("code")];
  await setImmediate();
  const { signal } = builder.open[0]!;
  one.leave();
  await t.throwsAsync(one.built, { message: "left" });
  t.false(signal.aborted);
  other.leave();
  t.true(signal.aborted);
  await t.throwsAsync(other.built, { message: "left" });
  t.deepEqual(builder.open, []);
  const { built } = ask("code");
  await setImmediate();
  builder.open[0]!.end(null);
  t.is(await built, null);
});

test("what nobody wants any more when its turn comes is not begun", async (t) => {
  const { builder, ask } = setUp();
  const [code, math] = [ask("code"), ask("math")];
  await setImmediate();
  math.leave();
  builder.open[0]!.end(null);
  await code.built;
  await t.throwsAsync(math.built, { message: "left" });
  t.deepEqual(builder.began, ["code"]);
});

test("what is on disk is found as the builder finds it", async (t) => {
  const { builder, shared } = setUp();
  builder.onDisk.set("code", builtOf("code", 10));
  t.is((await shared.find("code"))?.key, "code");
  t.is(await shared.find("math"), null);
});
