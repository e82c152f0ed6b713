import { setImmediate } from "node:timers/promises";
import test from "ava";
import { BuilderHost } from "../../../engine/worker/builder-host.ts";
import { EngineStoppedError, ExpertBuildError } from "../../../engine/contract/errors.ts";
import type { BuildProgress, ExpertBuilder } from "../../../engine/contract/experts.ts";
import { RemoteBuilder } from "../../../engine/experts/remote-builder.ts";
import { Gate } from "../../helpers/fake-engine.ts";
import { builtOf, FakeBuilder } from "../../helpers/fake-experts.ts";

/** A builder and what is on the other side of two message channels. */
function connect() {
  const builder = new FakeBuilder();
  const host: BuilderHost = new BuilderHost(builder, (message) =>
    queueMicrotask(() => remote.receive(structuredClone(message))),
  );
  const remote: RemoteBuilder = new RemoteBuilder((message) =>
    queueMicrotask(() => host.receive(structuredClone(message))),
  );
  const build = (task: string, controller = new AbortController()) => {
    const progress: BuildProgress[] = [];
    const built = remote.build(task, {
      signal: controller.signal,
      onProgress: (step) => progress.push(step),
    });
    return { built, progress, controller };
  };
  return { builder, host, remote, build };
}

test("what is found, built and failed comes across, with the progress", async (t) => {
  const { builder, remote, build } = connect();
  const code = builtOf("code", 100);
  builder.onDisk.set("code", code);
  t.deepEqual(await remote.find("code"), code);
  t.is(await remote.find("math"), null);
  const first = build("math");
  await setImmediate();
  builder.open[0]!.onProgress({ phase: "calibrating", share: 0.5 });
  await setImmediate();
  t.deepEqual(first.progress, [{ phase: "calibrating", share: 0.5 }]);
  builder.open[0]!.end(null);
  t.is(await first.built, null);
  const second = build("chat");
  await setImmediate();
  builder.open.at(-1)!.fail(new Error("no corpus"));
  await t.throwsAsync(second.built, { instanceOf: ExpertBuildError, message: "no corpus" });
});

test("a build that nobody waits for any more is stopped, and rejects at once with the signal's reason", async (t) => {
  const { builder, build } = connect();
  const { built, controller, progress } = build("code");
  await setImmediate();
  const [open] = builder.open;
  controller.abort(new Error("stopping"));
  await t.throwsAsync(built, { message: "stopping" });
  await setImmediate();
  t.true(open!.signal.aborted);
  open!.onProgress({ phase: "pruning", share: 0.1 });
  await setImmediate();
  t.deepEqual(progress, []);
  await t.throwsAsync(build("code", controller).built, { message: "stopping" });
  t.deepEqual(builder.began, ["code"]);
});

test("closed on this side, what is asked ends without an answer", async (t) => {
  const { remote, build } = connect();
  const { built } = build("code");
  const found = remote.find("math");
  remote.close();
  await t.throwsAsync(built, { instanceOf: EngineStoppedError });
  t.is(await found, null);
  t.is(await remote.find("math"), null);
  await t.throwsAsync(build("chat").built, { instanceOf: EngineStoppedError });
});

test("stopped on the other side, builds are aborted and awaited, and nothing is sent", async (t) => {
  const sent: unknown[] = [];
  const gate = new Gate();
  let aborted = false;
  const builder: ExpertBuilder = {
    find: () => Promise.resolve(null),
    build: async (_, { signal }) => {
      signal.addEventListener("abort", () => (aborted = true));
      await gate.opened;
      throw new Error("stopped");
    },
  };
  const host = new BuilderHost(builder, (message) => sent.push(message));
  host.receive({ type: "build_expert", id: 1, task: "code" });
  let isStopped = false;
  const stopped = host.stop().then(() => (isStopped = true));
  await setImmediate();
  t.true(aborted);
  t.false(isStopped);
  gate.open();
  await stopped;
  await host.stop();
  host.receive({ type: "find_expert", id: 2, task: "code" });
  await setImmediate();
  t.deepEqual(sent, []);
});
