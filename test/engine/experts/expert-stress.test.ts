import { setImmediate } from "node:timers/promises";
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { CancelledError, ExpertBuildError } from "../../../engine/contract/errors.ts";
import { ExpertLoader } from "../../../engine/experts/expert-loader.ts";
import { ExpertPool } from "../../../engine/experts/expert-pool.ts";
import type {
  BuiltExpert,
  ExpertBuilder,
  ExpertOptions,
} from "../../../engine/contract/experts.ts";
import type { GenerateRequest } from "../../../engine/contract/request.ts";
import { ShadowCheck } from "../../../engine/experts/shadow-check.ts";
import { StepTimer } from "../../../engine/experts/step-timer.ts";
import { Turnstile } from "../../../engine/experts/turnstile.ts";
import { totalBytes } from "../../../model/stages/model-stages.ts";
import type { StageModel } from "../../../model/stages/stage-spec.ts";
import { wholePrompt } from "../../../router/prompt-spans.ts";
import { builtOf, FakeClock } from "../../helpers/fake-experts.ts";
import { answerAlone, loadModel, LoopRun } from "../../helpers/loop-run.ts";
import { expertModel, loadExperts, tinyPlan, tinySegments } from "../../helpers/made-up-experts.ts";
import { requestFor, somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const weights = tinyModel(expertModel);
const tasks = ["chat", "code", "extract", "facts", "math", "reading", "summary", "translate"];
/** What the tasks' experts are, built beforehand. */
const segmentsOf = new Map(
  tasks.map((task, i) => [task, tinySegments(weights, "q8", tinyPlan(weights, task, i))]),
);
const sizeOf = (task: string) => totalBytes(segmentsOf.get(task)!);
const largest = Math.max(...tasks.map(sizeOf));

/** Takes some turns for each expert; the second build of all and the fifth fail. */
class SlowBuilder implements ExpertBuilder {
  numBuilds = 0;
  numFailures = 0;
  readonly #turns: number;

  constructor(turns: number) {
    this.#turns = turns;
  }

  async find(): Promise<BuiltExpert | null> {
    await setImmediate();
    return null;
  }

  async build(...[task, { onProgress }]: Parameters<ExpertBuilder["build"]>): Promise<BuiltExpert> {
    const number = ++this.numBuilds;
    for (let turn = 0; turn < this.#turns; turn++) {
      await setImmediate();
      onProgress({ phase: `${task}: pruning`, share: turn / this.#turns });
    }
    if (number === 2 || number === 5) {
      this.numFailures++;
      throw new ExpertBuildError("The disk is full.");
    }
    return builtOf(task, sizeOf(task));
  }
}

interface Plan {
  readonly numRequests: number;
  readonly policy: ExpertOptions["policy"];
  readonly buildTurns: number;
  readonly seed: number;
}

/** Numbers that look random, the same for the same seed. */
function numbersFrom(seed: number): () => number {
  let state = seed * 2654435761;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 3266489917) >>> 0;
    return (state ^ (state >>> 13)) >>> 0;
  };
}

function requestsOf({ numRequests, seed }: Plan): GenerateRequest[] {
  const next = numbersFrom(seed);
  return Array.from({ length: numRequests }, (_, i) => {
    const task = next() % 10 === 0 ? null : tasks[next() % tasks.length]!;
    const length = 1 + (next() % 60);
    const reason = next() % 4 === 0 ? ("override" as const) : ("rule" as const);
    const waits = next() % 5 === 0 ? ({ whileBuilding: "wait" } as const) : {};
    const routing = { spans: wholePrompt(length), assigned: { task, reason }, ...waits };
    const sampling = next() % 2 === 0 ? {} : { temperature: 0.8, seed: i };
    const maxTokens = 1 + (next() % 24);
    return requestFor(`r${i}`, somePrompt(length, i), { maxTokens, sampling, routing });
  });
}

/** The engine's thread with a builder, a budget for three experts and a clock of the test's own. */
async function setUp(t: ExecutionContext, plan: Plan) {
  const loaded = await loadModel(t, weights, "q8");
  const { device, stages } = loaded;
  const baseBytes = device.weightBytes;
  const memoryBytes = 3 * largest;
  const clock = new FakeClock();
  const builder = new SlowBuilder(plan.buildTurns);
  const turnstile = new Turnstile(() => undefined);
  const timer = new StepTimer({
    device,
    turnstile,
    trunk: stages.trunk,
    now: () => performance.now(),
  });
  const denseCost = await timer.measure(stages.middle);
  turnstile.close();
  const run: LoopRun = new LoopRun(loaded, {
    ...{ maxBatch: 8, kvPositions: 1024 },
    experts: { choose: (...args) => pool.choose(...args) },
    onFinish: (sequence) => shadow.offer(sequence),
    kvBorrower: {
      get kvBytes() {
        return shadow.kvBytes;
      },
      giveBack: () => shadow.giveBack(),
    },
  });
  const { runner } = run;
  const shadow: ShadowCheck = new ShadowCheck({
    ...{ runner, share: 0.2, vocabSize: weights.config.vocabSize },
    freeKvBytes: () => run.loop.freeKvBytes,
    record: (name, record) => pool.recordShadow(name, record),
    log: (line) => t.fail(line),
  });
  let mostBytes = 0;
  const loader = new ExpertLoader({
    ...{ device, runner, timer, turnstile },
    onRelease: (name) => shadow.forget(name),
    read: async ({ key }): Promise<readonly StageModel[]> => {
      await setImmediate();
      return segmentsOf.get(key)!;
    },
  });
  const pool: ExpertPool = new ExpertPool({
    options: {
      tasks: Object.fromEntries(
        tasks.map((task) => [task, { isServed: task !== "facts", whileBuilding: "general" }]),
      ),
      ...{ hasGeneral: false, memoryBytes, policy: plan.policy, preload: ["math"], idleMs: 60_000 },
      maxParked: 100,
      shadow: { share: 0.2, maxKl: Infinity, minRequests: 1 },
    },
    ...{ builder, denseCost, denseBytes: 0, device: loader },
    nowMs: () => clock.nowMs,
    setTimer: clock.setTimer,
    onChange: (snapshots) => {
      const bytes = snapshots.reduce((sum, { residentBytes }) => sum + residentBytes, 0);
      t.true(bytes <= memoryBytes);
    },
    log: () => undefined,
  });
  /** One turn of the engine's loop. */
  const turn = async () => {
    if (run.loop.hasWork) await run.step();
    else if (!turnstile.hasJobs && shadow.hasWork) await shadow.step();
    await turnstile.next();
    mostBytes = Math.max(mostBytes, device.weightBytes - baseBytes);
    await setImmediate();
  };
  return {
    ...{
      loaded,
      run,
      pool,
      shadow,
      turnstile,
      builder,
      clock,
      device,
      baseBytes,
      memoryBytes,
      turn,
    },
    mostBytes: () => mostBytes,
  };
}

/** Answers all requests, some of which are cancelled, and checks everything that must hold. */
async function play(t: ExecutionContext, plan: Plan): Promise<Set<string>> {
  const setting = await setUp(t, plan);
  const { run, pool, clock, turn, shadow, turnstile } = setting;
  const next = numbersFrom(plan.seed + 1);
  const requests = requestsOf(plan);
  const cancelled = new Set<string>();
  const commands: Promise<unknown>[] = [];
  for (const request of requests) {
    run.add(request);
    for (let i = next() % 4; i > 0; i--) await turn();
    if (next() % 8 === 0) {
      const { id } = requests[next() % requests.length]!;
      if (run.answers.has(id)) cancelled.add(id);
      run.loop.cancel(id);
    }
    if (next() % 16 === 0) {
      const [task, command] = [
        tasks[next() % tasks.length]!,
        next() % 2 ? "evict" : "load",
      ] as const;
      commands.push(pool.command(task, command).catch(() => undefined));
    }
    // Failed builds are tried again, and what is idle leaves.
    if (next() % 10 === 0) clock.advance(30_000);
  }
  for (let i = 0; !run.loop.isIdle || turnstile.hasJobs || shadow.hasWork; i++) {
    if (i === 20_000) throw new Error(`not through: ${JSON.stringify(pool.snapshots())}`);
    await turn();
  }
  await Promise.all(commands);

  t.true(setting.mostBytes() <= setting.memoryBytes, `${setting.mostBytes()} bytes`);
  t.is(setting.builder.numFailures, 2);
  const alone = await loadExperts(t, setting.loaded, "q8", tasks);
  const experts = new Map<string, number>();
  for (const request of requests) {
    const { id, routing } = request;
    const { error, text, routes, finish } = run.answer(id);
    if (error !== null) {
      t.true(error instanceof CancelledError && cancelled.has(id), `${id}: ${error.message}`);
      continue;
    }
    t.not(finish, null, id);
    t.is(routes.length, 1);
    const [{ expert, serveReason, task }] = routes as [(typeof routes)[number]];
    t.is(task, routing!.assigned!.task);
    t.is(expert, serveReason === "expert" ? task! : "dense", `${id}: ${serveReason}`);
    experts.set(expert, (experts.get(expert) ?? 0) + 1);
    const choose = () => {
      const lease = { expert, task, reason: serveReason, release: () => undefined };
      return { kind: "run" as const, lease };
    };
    const expected = await answerAlone(setting.loaded, request, {
      middles: alone,
      experts: { choose },
    });
    t.is(text, expected, `${id} on ${expert}`);
  }

  const snapshots = pool.snapshots();
  t.deepEqual(
    snapshots.map(({ running }) => running),
    Array<number>(tasks.length + 1).fill(0),
  );
  const hits = snapshots.reduce((sum, snapshot) => sum + snapshot.hits, 0);
  const finished = [...experts.values()].reduce((sum, count) => sum + count, 0);
  t.true(hits >= finished && hits <= requests.length);
  t.is(setting.device.kvBytes, 0);
  for (const stages of alone.values()) for (const stage of stages) await stage.dispose();
  const closed = pool.close();
  await turnstile.open();
  await closed;
  t.is(setting.device.weightBytes, setting.baseBytes);
  for (const { residentBytes } of pool.snapshots()) t.is(residentBytes, 0);
  t.is(clock.numTimers, 0);
  return new Set(experts.keys());
}

test("200 requests over 8 tasks with room for 3 experts: each answer is that of its expert alone", async (t) => {
  const plan = { numRequests: 200, policy: "task", buildTurns: 8, seed: 1 } as const;
  const experts = await play(t, plan);
  t.true(experts.size >= 6, `${[...experts].join(", ")} answered`);
  t.false(experts.has("facts"));
});

test("so it is with other orders, paces and the load-aware policy", async (t) => {
  const plans = fc.record({
    numRequests: fc.constant(60),
    policy: fc.constantFrom("task" as const, "load-aware" as const),
    buildTurns: fc.integer({ min: 0, max: 20 }),
    seed: fc.integer({ min: 2, max: 1_000_000 }),
  });
  const run = async (plan: Plan) => void (await play(t, plan));
  await fc.assert(fc.asyncProperty(plans, run), { numRuns: 3, seed: 11 });
});
