import { setImmediate } from "node:timers/promises";
import test from "ava";
import {
  EngineHungError,
  EngineRestartingError,
  EngineStoppedError,
  RouterLoadError,
} from "../../../engine/contract/errors.ts";
import type { Engine } from "../../../engine/contract/request.ts";
import { SupervisedEngine } from "../../../engine/worker/supervised-engine.ts";
import { ModelLoadError } from "../../../model/errors.ts";
import { FakeClock } from "../../helpers/fake-experts.ts";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { requestFor } from "../../helpers/requests.ts";

/** A fake engine that can die, and that remembers its router. */
class MortalEngine extends FakeEngine {
  routerProblem: Error | null = null;

  die(error = new EngineStoppedError("The engine's worker failed: it broke.")): void {
    this.problem = error;
    this.fail(error);
  }

  override useRouter(path: string): Promise<void> {
    if (this.problem) return Promise.reject(this.problem);
    if (this.routerProblem) return Promise.reject(this.routerProblem);
    return super.useRouter(path);
  }
}

interface Line {
  readonly level: "info" | "error";
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A supervised engine whose workers the test ends. */
async function setUp(maxRestarts = 5) {
  const clock = new FakeClock();
  const engines: MortalEngine[] = [];
  const lines: Line[] = [];
  const setting = {
    clock,
    engines,
    lines,
    /** What the next starts do instead. */
    problems: [] as Error[],
    /** What the next engines say to a router. */
    routerProblem: null as Error | null,
    /** Holds starts until it is opened. */
    starting: null as Gate | null,
    /** Lets everything happen that needs no time. */
    settle: async () => {
      for (let i = 0; i < 5; i++) await setImmediate();
    },
    pass: async (milliseconds: number) => {
      clock.advance(milliseconds);
      await setting.settle();
    },
  };
  const engine = await SupervisedEngine.start({
    start: async (): Promise<Engine> => {
      await setting.starting?.opened;
      const problem = setting.problems.shift();
      if (problem) throw problem;
      const next = new MortalEngine();
      next.routerProblem = setting.routerProblem;
      engines.push(next);
      return next;
    },
    maxRestarts,
    nowMs: () => clock.nowMs,
    setTimer: clock.setTimer,
    log: {
      info: (message, fields) => lines.push({ level: "info", message, fields }),
      error: (message, fields) => lines.push({ level: "error", message, fields }),
    },
  });
  return { ...setting, setting, engine };
}

async function textOf(engine: Engine): Promise<string> {
  let text = "";
  for await (const event of engine.generate(requestFor("a", [1]))) {
    if ("text" in event) text += event.text;
  }
  return text;
}

test("an engine that has died refuses at once, says so in the log, and is back after half a second", async (t) => {
  const { engine, engines, lines, settle, pass } = await setUp();
  t.is(engine.problem, null);
  engines[0]!.die();
  t.true(engine.problem instanceof EngineRestartingError);
  await settle();
  await t.throwsAsync(engine.generate(requestFor("a", [1])).next(), {
    instanceOf: EngineRestartingError,
  });
  await t.throwsAsync(engine.commandExpert("code", "load"), { instanceOf: EngineRestartingError });
  t.deepEqual(engine.experts(), []);
  t.is(engine.stats().runningRequests, 0);
  t.is(lines.length, 1);
  t.like(lines[0], {
    level: "error",
    message: "engine failed",
    fields: { failuresInARow: 1, restartInMs: 500 },
  });
  t.regex(String(lines[0]!.fields["error"]), /it broke/);
  await pass(499);
  t.is(engines.length, 1);
  await pass(1);
  t.is(engine.problem, null);
  t.is(engine.stats().restarts, 1);
  t.is(await textOf(engine), "Hello world");
  t.like(lines[1], { level: "info", message: "engine restarted" });
});

test("each further attempt of a row waits twice as long, a start that fails included, and then it is over", async (t) => {
  const { engine, engines, lines, setting, settle, pass } = await setUp(3);
  engines[0]!.die();
  await settle();
  await pass(500);
  engines[1]!.die();
  await settle();
  setting.problems.push(new ModelLoadError("model.gguf", "gone"));
  await pass(1000);
  t.like(lines.at(-1), { message: "engine failed", fields: { restartInMs: 2000 } });
  t.regex(String(lines.at(-1)!.fields["error"]), /gone/);
  await pass(2000);
  t.is(engine.problem, null);
  engines[2]!.die();
  await settle();
  t.is((await engine.failed).message, "The engine's worker failed: it broke.");
  t.like(lines.at(-1), { message: "engine failed", fields: { failuresInARow: 4 } });
  t.true(engine.problem instanceof EngineStoppedError);
  t.is(engine.stats().restarts, 3);
  await pass(100_000);
  t.is(engines.length, 3);
});

test("one that has run for a minute ends the row", async (t) => {
  const { engines, lines, settle, pass } = await setUp(1);
  for (let i = 0; i < 5; i++) {
    await pass(60_000);
    engines[i]!.die();
    await settle();
    t.like(lines.at(-1), { fields: { failuresInARow: 1 } });
    await pass(500);
  }
  t.is(engines.length, 6);
});

test("who observes steps and which router is used holds for the next one too", async (t) => {
  const { engine, engines, settle, pass } = await setUp();
  let numSteps = 0;
  engine.observeSteps(() => numSteps++);
  await engine.useRouter("a.safetensors");
  engines[0]!.die();
  await settle();
  await pass(500);
  t.deepEqual(engines[1]!.routers, ["a.safetensors"]);
  engines[1]!.onSteps({ steps: [], preemptions: 0 }, 0);
  t.is(numSteps, 1);
});

test("a router that is there while there is no engine waits for the next one", async (t) => {
  const { engine, engines, settle, pass } = await setUp();
  engines[0]!.die();
  const early = engine.useRouter("early.safetensors");
  await settle();
  const late = engine.useRouter("late.safetensors");
  await pass(500);
  await Promise.all([early, late]);
  t.deepEqual([...engines[1]!.routers].sort(), ["early.safetensors", "late.safetensors"]);
});

test("a router that cannot be used any more is a line in the log, and prompts are not routed", async (t) => {
  const { engine, engines, lines, setting, settle } = await setUp();
  await engine.useRouter("a.safetensors");
  engines[0]!.die();
  await settle();
  setting.starting = new Gate();
  setting.clock.advance(500);
  await settle();
  setting.routerProblem = new RouterLoadError("damaged");
  setting.starting.open();
  await settle();
  t.is(engine.problem, null);
  t.true(lines.some(({ message }) => message === "prompts are not routed any more"));
});

test("one that hangs is not replaced", async (t) => {
  const { engine, engines, settle, pass } = await setUp();
  engines[0]!.die(new EngineHungError("The engine's thread has not answered for 600 s."));
  await settle();
  t.true((await engine.failed) instanceof EngineHungError);
  await pass(100_000);
  t.is(engines.length, 1);
});

test("one whose worker has failed and does not end is not replaced", async (t) => {
  const { engine, engines, settle } = await setUp();
  engines[0]!.closing = Promise.reject(new EngineHungError("It does not end."));
  engines[0]!.die();
  await settle();
  t.is((await engine.failed).message, "It does not end.");
  t.is(engines.length, 1);
});

test("closing it ends the waiting for the next one, and an engine that was just starting", async (t) => {
  for (const isStarting of [false, true]) {
    const { engine, engines, setting, settle, pass } = await setUp();
    engines[0]!.die();
    await settle();
    setting.starting = new Gate();
    if (isStarting) await pass(500);
    const closed = engine.close();
    const routed = t.throwsAsync(engine.useRouter("a"), { instanceOf: EngineStoppedError });
    setting.starting.open();
    await closed;
    await routed;
    t.is(engines.length, isStarting ? 2 : 1);
    if (isStarting) t.true(engines[1]!.isClosed);
    await engine.close();
    await t.throwsAsync(engine.generate(requestFor("late", [1])).next(), {
      instanceOf: EngineStoppedError,
    });
  }
});

test("closing does not wait for ever for an engine that is starting", async (t) => {
  const { engine, engines, setting, settle, pass } = await setUp();
  engines[0]!.die();
  await settle();
  setting.starting = new Gate();
  await pass(500);
  const closed = t.throwsAsync(engine.close(), { instanceOf: EngineHungError });
  await pass(20_000);
  await closed;
});
